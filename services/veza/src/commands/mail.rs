//! `veza mail`: what a local platform would have mailed, and whether the server of the settings takes mail.

use anyhow::Context;
use serde::Serialize;
use veza_notifier::mail::{Mail, Mailer, Words};
use veza_servers::CaughtMail;

use crate::{
    cli::{Cli, MailAction},
    console::{self, Console},
    roles,
    up::stack::mail_folder,
};

/// A mail in the list.
#[derive(Serialize)]
struct Listed {
    number: usize,
    date: String,
    to: String,
    subject: String,
    file: String,
}

/// A mail as it is read.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    head: Listed,
    text: String,
}

#[derive(Serialize)]
struct Sent<'a> {
    to: &'a str,
}

pub(crate) async fn run(cli: &Cli, action: &MailAction, console: &Console) -> anyhow::Result<()> {
    match action {
        MailAction::Ls => {
            let caught = CaughtMail::list(&mail_folder(&cli.data_dir));
            let list: Vec<Listed> = (1..).zip(&caught).map(|(at, mail)| listed(at, mail)).collect();
            console.result(&list, |list| table(list, cli));
        }
        MailAction::Show { number } => {
            let caught = CaughtMail::list(&mail_folder(&cli.data_dir));
            let number = number.unwrap_or(caught.len());
            let mail = number.checked_sub(1).and_then(|at| caught.get(at));
            let mail = mail.context("there is no such mail; `veza mail ls` lists them")?;
            let shown = Shown {
                head: listed(number, mail),
                text: mail.text().to_owned(),
            };
            console.result(&shown, |shown| {
                let head = &shown.head;
                let rows = [("To", &head.to), ("Subject", &head.subject), ("Date", &head.date)];
                format!("{}\n{}", console::table(&rows), shown.text)
            });
        }
        MailAction::Test { to } => {
            let config = roles::checked(roles::settings(cli)?)?;
            let mailer = Mailer::new(&config)?;
            let mailer = mailer.context("`mail.smtp_url` names no server, so nothing is mailed")?;
            let words =
                Words::new("Veza can send mail").paragraph("Somebody has asked Veza to try its mail server.");
            let mail = Mail {
                to: to.clone(),
                words,
                unsubscribe: None,
            };
            let step = console.step("sending");
            mailer.send(&mail).await?;
            step.done();
            console.result(&Sent { to }, |sent| {
                format!("the server took a mail to {}", sent.to)
            });
        }
    }
    Ok(())
}

fn listed(number: usize, mail: &CaughtMail) -> Listed {
    let head = |name| mail.header(name).unwrap_or_default();
    Listed {
        number,
        date: head("date"),
        to: head("to"),
        subject: head("subject"),
        file: mail.file.display().to_string(),
    }
}

fn table(list: &[Listed], cli: &Cli) -> String {
    if list.is_empty() {
        return format!("no mail in {}", mail_folder(&cli.data_dir).display());
    }
    let rows: Vec<(String, String)> = list
        .iter()
        .map(|mail| {
            let Listed {
                number,
                date,
                to,
                subject,
                ..
            } = mail;
            (format!("{number}"), format!("{date}  {to}  {subject}"))
        })
        .collect();
    console::table(&rows)
}
