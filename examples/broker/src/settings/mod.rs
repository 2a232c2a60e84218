//! Settings: flags, a file that has them by the same names, and the environment.

mod resolver;
mod serve;

pub(crate) use resolver::Resolver;
pub(crate) use serve::Serve;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Command};
use p2pgate::link::PublicKey;
use p2pgate_broker::{Error, Options};
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// Where settings come from besides the flags.
#[derive(Args)]
pub(crate) struct Sources {
    /// A TOML file of these settings by their long names: listen = "0.0.0.0:7700". The environment (P2PGATE_BROKER_LISTEN for `serve`, P2PGATE_RESOLVER_LISTEN
    /// for `resolver`) takes precedence over it, and a flag over both. SIGHUP has limits and certificates read anew
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings, and do not serve
    #[arg(long)]
    pub(crate) check_config: bool,
}

/// What a command that serves is told.
pub(crate) trait Settings: Args {
    /// The command.
    const COMMAND: &'static str;
    /// Before the settings' names in the environment.
    const ENVIRONMENT: &'static str;

    /// Where they come from.
    fn sources(&self) -> &Sources;

    /// As the server takes them.
    ///
    /// # Errors
    /// What is missing, or does not go together.
    fn options(&self) -> Result<Options, Error>;

    /// The settings of this process: what its flags say counts most, then the environment, then the file of `--config`.
    ///
    /// # Errors
    /// The file cannot be read, or it, the environment or a flag has what is no setting.
    fn gather() -> Result<Self, Error> {
        // Behind the names of program and command.
        let flags: Vec<_> = std::env::args_os().skip(2).collect();
        let environment = arguments_of_environment::<Self>()?;
        // Each by itself first, so that what is wrong is told where it is.
        parse::<Self>(environment.iter().cloned())
            .map_err(|error| Error::Setting(format!("the environment: {}", one_line(&error))))?;
        let usage = |error: clap::Error| Error::Setting(one_line(&error));
        let nearer: Vec<_> = environment.into_iter().chain(flags).collect();
        let settings = parse::<Self>(nearer.iter().cloned()).map_err(usage)?;
        let Some(file) = &settings.sources().config else { return Ok(settings) };
        let in_file = arguments_of::<Self>(file)?;
        parse::<Self>(in_file.iter().cloned()).map_err(|error| wrong(file, &one_line(&error)))?;
        parse::<Self>(in_file.into_iter().chain(nearer)).map_err(usage)
    }
}

/// The last of each flag counts.
fn parse<S: Settings>(arguments: impl Iterator<Item = OsString>) -> Result<S, clap::Error> {
    let command = S::augment_args(Command::new(S::COMMAND).no_binary_name(true).args_override_self(true));
    S::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// A file's settings, as the flags that they stand for.
fn arguments_of<S: Settings>(file: &Path) -> Result<Vec<OsString>, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| wrong(file, &error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
        wrong(file, &format!("line {line}: {}", error.message()))
    })?;
    let known = S::augment_args(Command::new(S::COMMAND));
    let mut arguments = Vec::new();
    for (name, value) in table {
        let Some(setting) = setting(&known, &name).filter(|_| name != "config") else {
            return Err(wrong(file, &no_setting::<S>(&name)));
        };
        let switch = !setting.get_action().takes_values();
        match value {
            toml::Value::Boolean(true) if switch => arguments.push(format!("--{name}").into()),
            toml::Value::Boolean(false) if switch => {}
            toml::Value::String(text) if !switch => arguments.push(format!("--{name}={text}").into()),
            toml::Value::Integer(number) if !switch => arguments.push(format!("--{name}={number}").into()),
            _ if switch => return Err(wrong(file, &format!("{name} is true or false"))),
            _ => return Err(wrong(file, &format!("{name} is a number or a text in quotation marks"))),
        }
    }
    Ok(arguments)
}

/// The environment's settings, likewise: P2PGATE_BROKER_MAX_LIST is max-list of `serve`.
fn arguments_of_environment<S: Settings>() -> Result<Vec<OsString>, Error> {
    let known = S::augment_args(Command::new(S::COMMAND));
    let mut arguments = Vec::new();
    for (variable, value) in std::env::vars_os() {
        let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(S::ENVIRONMENT)) else {
            continue;
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        let variable = variable.display();
        let Some(setting) = setting(&known, &name) else {
            return Err(Error::Setting(format!("{variable}: {}", no_setting::<S>(&name))));
        };
        if setting.get_action().takes_values() {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            arguments.push(argument);
        } else if value == "true" {
            arguments.push(format!("--{name}").into());
        } else if value != "false" {
            return Err(Error::Setting(format!("{variable} is true or false")));
        }
    }
    Ok(arguments)
}

fn no_setting<S: Settings>(name: &str) -> String {
    format!("there is no setting {name}: see {} --help", S::COMMAND)
}

/// What a setting's long name stands for; checking them is no setting.
fn setting<'a>(known: &'a Command, name: &str) -> Option<&'a clap::Arg> {
    known.get_arguments().find(|argument| argument.get_long() == Some(name) && name != "check-config")
}

fn wrong(file: &Path, cause: &str) -> Error {
    Error::Setting(format!("{}: {cause}", file.display()))
}

/// What clap has to say, on one line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

fn data_folder(given: Option<&Path>) -> Result<&Path, Error> {
    let missing =
        || Error::Setting("no data folder: give --data DIR, or data in the file of --config".into());
    given.ok_or_else(missing)
}

pub(crate) fn count() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..)
}

pub(crate) fn seconds() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=86_400)
}

pub(crate) fn parse_key(text: &str) -> Result<PublicKey, String> {
    let wrong =
        |error: &dyn std::fmt::Display| format!("{text} is no key ({error}): copy it as it was printed");
    PublicKey::from_base64(text.strip_suffix('=').unwrap_or(text)).map_err(|error| wrong(&error))
}

pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |cause: &str| format!("{text} is no address to listen on ({cause}): write ADDRESS:PORT");
    let mut addresses = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    addresses.next().ok_or_else(|| wrong("it has none"))
}
