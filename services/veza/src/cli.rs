//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Chat and live media on one replayable event log.
#[derive(Debug, Parser)]
#[command(name = "veza", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Settings file (TOML); `VEZA__SECTION__KEY` variables go over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of a local platform: its data, keys and settings.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = ".veza/data",
        env = "VEZA_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Print one JSON document instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole platform on this machine and stay until Ctrl-C.
    Up(UpArgs),
    /// Stop the platform that `up` started.
    Down,
    /// Say what of the platform runs and whether it is ready.
    Status,
    /// Look for what would keep Veza from running here, and say how to mend it.
    Doctor,
    /// Create streams, buckets, tables and keys on the configured servers.
    Setup,
    /// Show or check the settings.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Look at read models, or build them anew from the log.
    Projection {
        #[command(subcommand)]
        action: ProjectionAction,
    },
    /// Look at mail that a local platform caught, or try the server that the settings name.
    Mail {
        #[command(subcommand)]
        action: MailAction,
    },
    /// See to what push services know this installation by.
    Push {
        #[command(subcommand)]
        action: PushAction,
    },
    /// Write what belongs to a person, or what was said in a space, into a ZIP of JSON and files.
    Export {
        #[command(subcommand)]
        what: ExportWhat,
    },
    /// Bring what was said in Mattermost or Slack into a space.
    Import(ImportArgs),
    /// Measure this machine against references in the same run.
    Bench(crate::bench::BenchArgs),
    /// Run the public door: HTTP and WebSocket.
    Gateway,
    /// Run the accounts worker.
    Accounts,
    /// Run the chat worker.
    Chat,
    /// Run the projector.
    Projector,
    /// Run a media worker: carries calls.
    Media,
    /// Run the notifier: tells people of messages while they are away.
    Notifier,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Port of the gateway.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Fill a fresh platform with people, rooms and messages.
    #[arg(long, value_name = "WHAT")]
    pub(crate) seed: Option<Seed>,
    /// Log what happens inside as well, not only warnings.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Seed {
    /// Three people, two rooms and 2,000 messages.
    Demo,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print the settings in force, with their documentation; secrets are hidden.
    Show,
    /// Say what is wrong or doubtful about them.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MailAction {
    /// List the mails that a local platform caught, the newest last.
    Ls,
    /// Print one of them.
    Show {
        /// Its number in the list; the newest when absent.
        number: Option<usize>,
    },
    /// Send a mail through the server of the settings, and say what came of it.
    Test {
        /// To whom.
        to: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PushAction {
    /// List the keys, oldest first.
    Keys,
    /// Make a new key. Browsers subscribe with it from now on; devices that subscribed with an older one are told as
    /// before, until they subscribe anew.
    RotateKeys,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportWhat {
    /// Profile, memberships, messages, reactions, settings and files of one account.
    Account {
        /// Its handle or id.
        account: String,
        #[command(flatten)]
        to: ExportTo,
    },
    /// All that was said in a space, private rooms included.
    Space {
        /// Its id.
        space: uuid::Uuid,
        #[command(flatten)]
        to: ExportTo,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExportTo {
    /// File to write; it must not be there.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Largest archive, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1_099_511_627_776)]
    pub(crate) max_bytes: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ImportFormat {
    /// A bulk export of Mattermost: the `.jsonl` file, or the ZIP with it and `data/`.
    Mattermost,
    /// An export of Slack: the ZIP.
    Slack,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Who made the export.
    pub(crate) format: ImportFormat,
    /// The export.
    pub(crate) file: PathBuf,
    /// Id of the space that it goes into; its channels become rooms of the same names.
    #[arg(long)]
    pub(crate) space: uuid::Uuid,
    /// Handle or id of who brings it: somebody who may manage the space.
    #[arg(long = "as", value_name = "ACCOUNT")]
    pub(crate) author: String,
    /// Read all of it and say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write there what was not taken, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Most bytes that the export may unpack to.
    #[arg(long, value_name = "BYTES", default_value_t = 1_099_511_627_776)]
    pub(crate) max_unpacked_bytes: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionAction {
    /// List projections with their positions.
    Ls,
    /// Show how far each is behind the log.
    Lag,
    /// Build the read models anew beside the serving ones, then switch.
    Rebuild {
        /// Compare all tables with the serving ones first, and do not switch if they differ.
        #[arg(long)]
        verify: bool,
        /// Put events aside that cannot be applied, instead of stopping at the first.
        #[arg(long)]
        park: bool,
    },
    /// Put the read models from before the last rebuild back in use.
    SwitchBack,
    /// Try parked events again.
    Retry,
}
