//! `p2pgate-recorder`: shares recordings with permitted recorders.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use p2pgate_recorder::cli::Cli;
use p2pgate_recorder::command;
use p2pgate_recorder::failure::{Code, Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            return fail(&usage(&error), std::env::args_os().any(|argument| argument == "--json"));
        }
    };
    match command::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure, command::wants_json(&cli)),
    }
}

fn fail(failure: &Failure, json: bool) -> ExitCode {
    if json {
        println!("{}", failure.json());
    }
    eprintln!("p2pgate-recorder: {failure}");
    ExitCode::from(failure.code as u8)
}

/// clap's words on one line, without its usage text.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    let said: Vec<&str> = said.split_whitespace().collect();
    let said = said.join(" ");
    Failure::new(Code::Usage, format!("{}; see --help", said.strip_prefix("error: ").unwrap_or(&said)))
}
