use std::fs;
use std::path::PathBuf;

use super::*;

/// A settings file with `text`, removed at the end.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("veza-config-{}.toml", crate::ambient::new_uuid()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn from_env(name: &str, value: &str) -> Result<Config, ConfigError> {
    Config::load(None, env(&[(name, value)]))
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    Config::load(Some(&File::new(text).0), [])
}

fn refusal(result: Result<Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn nothing_given_means_the_defaults() {
    assert_eq!(Config::load(None, []).unwrap(), Config::default());
    assert_eq!(Config::default().profile, Profile::Production);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
    let file =
        File::new("[gateway]\nlisten = \"0.0.0.0:1\"\nmax_body_bytes = 99_999\n[nats]\nreplicas = 3\n");
    let vars = env(&[
        ("VEZA__GATEWAY__LISTEN", "0.0.0.0:2"),
        ("HOME", "/"),
        ("VEZA_HOME", "/"),
    ]);
    let config = Config::load(Some(&file.0), vars).unwrap();
    assert_eq!(config.gateway.listen, "0.0.0.0:2");
    assert_eq!(config.gateway.max_body_bytes, 99_999);
    assert_eq!(config.nats.replicas, 3);
    assert_eq!(config.nats.shards, 1);
}

#[test]
fn the_environment_speaks_every_type() {
    let config = Config::load(
        None,
        env(&[
            ("VEZA__PROFILE", "development"),
            ("VEZA__NATS__SHARDS", "16"),
            ("VEZA__TELEMETRY__SAMPLE_RATIO", "0.25"),
            ("VEZA__TELEMETRY__LOG_FORMAT", "ecs"),
            ("VEZA__TELEMETRY__OTLP_ENDPOINT", ""),
            (
                "VEZA__GATEWAY__ALLOWED_ORIGINS",
                "https://a.example, https://b.example",
            ),
            ("VEZA__GATEWAY__TLS_KEY_FILE", "/tls/key.pem"),
        ]),
    )
    .unwrap();
    assert_eq!(config.profile, Profile::Development);
    assert_eq!(config.nats.shards, 16);
    assert!((config.telemetry.sample_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.telemetry.log_format, LogFormat::Ecs);
    assert_eq!(config.telemetry.otlp_endpoint, None);
    assert_eq!(
        config.gateway.allowed_origins,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(config.gateway.tls_key_file, Some("/tls/key.pem".into()));
}

#[test]
fn a_misspelt_key_is_refused_with_the_right_one() {
    let file = File::new("[gateway]\nlisten_on = \"x\"\n");
    assert_eq!(
        refusal(Config::load(Some(&file.0), [])),
        format!(
            "{}: there is no setting `gateway.listen_on`; did you mean `gateway.listen`?",
            file.name()
        )
    );
    assert_eq!(
        refusal(from_env("VEZA__NATZ__URL", "nats://x")),
        "VEZA__NATZ__URL: there is no setting `natz.url`; did you mean `nats.url`?"
    );
    let misplaced = refusal(from_file("[gateway]\ndrain_timeout_ms = 1\n"));
    assert!(
        misplaced.ends_with("did you mean `lifecycle.drain_timeout_ms`?"),
        "{misplaced}"
    );
    assert_eq!(
        refusal(from_env("VEZA__COFFEE__TEMPERATURE", "94")),
        "VEZA__COFFEE__TEMPERATURE: there is no setting `coffee.temperature`"
    );
    assert!(refusal(from_file("[gatewya]\nlisten = \"x\"\n")).contains("`gatewya`; did you mean `gateway`?"));
}

#[test]
fn a_value_that_does_not_fit_is_refused_by_name() {
    let cases = [
        (
            "VEZA__NATS__SHARDS",
            "many",
            "`nats.shards` must be a whole number",
        ),
        (
            "VEZA__NATS__SHARDS",
            "0",
            "`nats.shards` must be between 1 and 256",
        ),
        (
            "VEZA__LIFECYCLE__DRAIN_TIMEOUT_MS",
            "-1",
            "`lifecycle.drain_timeout_ms` must be at least 0",
        ),
        (
            "VEZA__REALTIME__FRAME_BURST",
            "4294967296",
            "`realtime.frame_burst` must be between 1 and 4294967295",
        ),
        (
            "VEZA__TELEMETRY__SAMPLE_RATIO",
            "NaN",
            "`telemetry.sample_ratio` must be between 0 and 1",
        ),
        (
            "VEZA__TELEMETRY__LOG_FORMAT",
            "xml",
            "`telemetry.log_format` must be one of auto, text, ecs",
        ),
        (
            "VEZA__PROFILE",
            "prod",
            "`profile` must be one of production, development",
        ),
    ];
    for (name, value, reason) in cases {
        assert_eq!(refusal(from_env(name, value)), format!("{name}: {reason}"));
    }
    for text in [
        "[nats]\nurl = 4222\n",
        "[nats]\npassword = { file = 1 }\n",
        "[gateway]\nallowed_origins = \"x\"\n",
    ] {
        assert!(
            matches!(from_file(text), Err(ConfigError::BadValue { .. })),
            "{text}"
        );
    }
    assert_eq!(
        refusal(from_env("VEZA__NATS", "x")),
        "VEZA__NATS: `nats` is a section, not a setting"
    );
    assert!(refusal(from_file("gateway = 1\n")).ends_with("`gateway` is a section, not a setting"));
}

#[test]
fn secrets_come_from_files() {
    let secret = File::new("hunter2\n");
    let path = secret.name();
    for text in [
        format!("[nats]\npassword_file = {path:?}\n"),
        format!("[nats]\npassword = {{ file = {path:?} }}\n"),
    ] {
        assert_eq!(from_file(&text).unwrap().nats.password.expose(), "hunter2");
    }
    assert_eq!(
        from_env("VEZA__NATS__PASSWORD_FILE", path)
            .unwrap()
            .nats
            .password
            .expose(),
        "hunter2"
    );
    assert_eq!(
        from_env("VEZA__POSTGRES__URL_FILE", path)
            .unwrap()
            .postgres
            .url
            .expose(),
        "hunter2"
    );
    assert_eq!(
        refusal(from_env("VEZA__S3__REGION_FILE", path)),
        "VEZA__S3__REGION_FILE: there is no setting `s3.region_file`"
    );
    let missing = refusal(from_env("VEZA__NATS__PASSWORD_FILE", "/nowhere/password"));
    assert!(
        missing.starts_with("VEZA__NATS__PASSWORD_FILE: `nats.password` names /nowhere/password"),
        "{missing}"
    );
}

#[test]
fn a_secret_given_twice_is_refused() {
    let secret = File::new("a");
    let vars = env(&[
        ("VEZA__NATS__PASSWORD", "b"),
        ("VEZA__NATS__PASSWORD_FILE", secret.name()),
    ]);
    assert!(matches!(
        Config::load(None, vars),
        Err(ConfigError::BadValue { .. })
    ));
}

#[test]
fn no_message_shows_a_value() {
    let file = File::new("[nats]\nurl = \"nats://x\"\npassword = \"hunter2\n");
    let message = refusal(Config::load(Some(&file.0), []));
    assert!(
        message.starts_with(&format!("{}, line 3: not valid TOML", file.name())),
        "{message}"
    );
    assert!(!message.contains("hunter2"));
    assert!(!refusal(from_env("VEZA__NATS__SHARDS", "hunter2")).contains("hunter2"));
}

#[test]
fn nothing_that_shows_settings_shows_a_secret() {
    let mut config = Config::default();
    config.nats.password = Secret::new("hunter2");
    config.postgres.url = ServiceUrl::new("postgres://veza:hunter2@db/veza");
    config.s3.secret_key = Secret::new("hunter2");
    let shown = [
        config.render(),
        format!("{config:?}"),
        serde_json::to_string(&config).unwrap(),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("postgres://veza:***@db/veza"), "{text}");
    }
}

#[test]
fn shown_settings_say_what_each_is_for() {
    let text = Config::default().render();
    assert!(text.contains(
        "# Longest wait for the whole head of a request, in milliseconds.\nheader_timeout_ms = 10000\n"
    ));
    assert!(text.contains("# kek_file is not set\n"));
    assert!(text.contains("# Logs, traces and metrics.\n[telemetry]\n"));
    assert_eq!(from_file(&text).unwrap(), Config::default());
}

#[test]
fn every_setting_has_a_doc_and_every_duration_and_size_a_unit() {
    let root = schema::Field::root();
    for section in root.keys() {
        let table = root.get(section).unwrap();
        assert!(!table.doc().is_empty(), "{section}");
        for key in table.keys() {
            let field = table.get(key).unwrap();
            assert!(!field.doc().is_empty(), "{section}.{key}");
            let timed = ["timeout", "ttl", "interval", "delay", "wait"]
                .iter()
                .any(|word| key.contains(word));
            assert!(
                !timed || key.ends_with("_ms") || key.ends_with("_s"),
                "{section}.{key}"
            );
        }
    }
}

/// The committed schema is what the settings are. `VEZA_BLESS=1` writes it anew.
#[test]
fn the_committed_schema_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas/config.json");
    let current = serde_json::to_string_pretty(&Config::schema()).unwrap() + "\n";
    if std::env::var_os("VEZA_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &current).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "schemas/config.json is out of date: run the tests with VEZA_BLESS=1 and commit it"
    );
}
