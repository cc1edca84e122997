//! One file per command.

pub(crate) mod accelerators;
pub(crate) mod calls;
pub(crate) mod catalog;
pub(crate) mod clear;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod device_helper;
pub(crate) mod devices;
pub(crate) mod host;
pub(crate) mod host_settings;
pub(crate) mod init;
pub(crate) mod install;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod map;
pub(crate) mod pack;
pub(crate) mod process;
pub(crate) mod provide;
pub(crate) mod requirements;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod ssh;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod troubles;
pub(crate) mod uninstall;
pub(crate) mod user_data;

use std::path::Path;
use std::sync::Arc;

use apyfal::configuration::forget_other_hosts;
use apyfal::hosts::{HostRecord, MadeHosts};
use apyfal::names::{Names, Record};
use apyfal::user_data::quoted;
use apyfal::{
    Accelerator, AcceleratorBuilder, Cancel, ChosenHosts, Configuration, Error, ErrorKind,
    KnownHosts, Location, Remote, RemoteOptions, Result, Surroundings,
};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::arguments::{Command, Parameters, Parsed};
use crate::printer::Printer;
use crate::signals;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) printer: &'a Printer,
    pub(crate) surroundings: Surroundings,
    pub(crate) names: Names,
    /// Set by Ctrl-C, SIGTERM or SIGHUP.
    pub(crate) cancel: Cancel,
    parameters: Parameters,
}

/// The name that a command works on.
#[derive(Args, Clone, Debug)]
pub(crate) struct Name {
    /// The name that the accelerator is remembered by.
    #[arg(long, short, default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
}

/// Runs a command; what it returns is the process's exit status where all went well.
pub(crate) async fn run(parsed: Parsed, printer: &Printer) -> Result<u8> {
    let surroundings =
        Surroundings { program: std::env::current_exe().ok(), ..Surroundings::of_process() };
    let names = Names::below(surroundings.home().unwrap_or(Path::new(".")));
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let mut context =
        Context { printer, surroundings, names, cancel, parameters: parsed.parameters };
    // Boxed, since all would find room for what the largest needs.
    match parsed.command {
        Command::Run(arguments) => Box::pin(run::run(arguments, &mut context)).await,
        Command::Map(arguments) => Box::pin(map::run(arguments, &mut context)).await,
        Command::Accelerators(arguments) => Box::pin(accelerators::run(arguments, &context)).await,
        Command::Create(arguments) => Box::pin(create::run(arguments, &mut context)).await,
        Command::Start(arguments) => Box::pin(start::run(arguments, &mut context)).await,
        Command::Process(arguments) => Box::pin(process::run(arguments, &mut context)).await,
        Command::Stop(arguments) => Box::pin(stop::run(arguments, &context)).await,
        Command::List(arguments) => Box::pin(list::run(arguments, &context)).await,
        Command::Ssh(arguments) => Box::pin(ssh::run(arguments, &context)).await,
        Command::Serve(arguments) => return Box::pin(serve::run(arguments, &context)).await,
        Command::Host(arguments) => Box::pin(host::run(arguments, &context)).await,
        Command::Logs(arguments) => Box::pin(logs::run(arguments, &context)).await,
        Command::UserData(arguments) => Box::pin(user_data::run(arguments, &context)).await,
        Command::Devices(arguments) => devices::run(arguments, &context),
        Command::DeviceHelper(arguments) => device_helper::run(arguments, &context),
        Command::Requirements(arguments) => Box::pin(requirements::run(arguments, &context)).await,
        Command::Catalog(arguments) => Box::pin(catalog::run(arguments, &context)).await,
        Command::Copy(arguments) => Box::pin(copy::run(arguments, &context)).await,
        Command::Init(arguments) => init::run(arguments, &context),
        Command::Pack(arguments) => Box::pin(pack::run(arguments, &context)).await,
        Command::Install(arguments) => Box::pin(install::run(arguments, &context)).await,
        Command::Uninstall(arguments) => Box::pin(uninstall::run(arguments, &context)).await,
        Command::Clear(arguments) => clear::run(&arguments, &context),
        Command::Completions(arguments) => completions::run(arguments, &context),
    }?;
    Ok(0)
}

impl Context<'_> {
    /// An environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.surroundings.environment.set(name)
    }

    /// The parameters that the command does not declare.
    pub(crate) fn take_parameters(&mut self) -> Parameters {
        std::mem::take(&mut self.parameters)
    }

    /// The hosts that this user was paired with.
    ///
    /// # Errors
    /// There is no home directory.
    pub(crate) fn known_hosts(&self) -> Result<KnownHosts> {
        self.surroundings.home().map(KnownHosts::below).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "there is no home directory")
                .operation("find what is known of hosts")
                .hint("say where it is: HOME")
        })
    }

    /// Reads the configuration and shows what is odd about it.
    pub(crate) async fn configuration(&self, explicit: Option<&str>) -> Result<Configuration> {
        let loading = apyfal::configuration::load(explicit, &self.surroundings.environment);
        let configuration = self.cancel.or_cancelled(loading).await?;
        for warning in configuration.warnings() {
            self.printer.warning(warning);
        }
        Ok(configuration)
    }

    /// Reads the configuration of a command that may name a host.
    pub(crate) async fn configuration_with(
        &self,
        explicit: Option<&str>,
        host: HostArguments,
    ) -> Result<Configuration> {
        let mut configuration = self.configuration(explicit).await?;
        host.apply(&mut configuration)?;
        Ok(configuration)
    }

    /// Begins an accelerator where its configuration says.
    pub(crate) fn builder(
        &self,
        accelerator: &str,
        configuration: Configuration,
    ) -> AcceleratorBuilder {
        let builder = Accelerator::builder(accelerator).configuration(configuration);
        builder.surroundings(self.surroundings.clone())
    }

    /// Makes an accelerator, and shows what is odd about where it runs, and how far a host is that is
    /// made for it.
    pub(crate) fn build(&self, builder: AcceleratorBuilder) -> Result<Accelerator> {
        let printer = self.printer.clone();
        let builder = builder.watch_host(Arc::new(move |host, phase| {
            printer.note(&format!("host {}: {phase}", host.name));
        }));
        if builder.names_hosts()? {
            allow_open_files();
        }
        let accelerator = builder.build()?;
        accelerator.warnings().iter().for_each(|warning| self.printer.warning(warning));
        Ok(accelerator)
    }

    /// The hosts that a configuration names. None where jobs run on this machine, or on a host that
    /// is made.
    pub(crate) fn hosts(&self, configuration: &Configuration) -> Result<Vec<RemoteOptions>> {
        Ok(self.chosen(configuration)?.hosts)
    }

    /// The hosts that were made; none where there is no home directory. Their providers are asked as the
    /// configuration says, and what a name was created with. Where that cannot be read, hosts are
    /// ended all the same as far as they can be.
    pub(crate) async fn made_hosts(&self, record: Option<&Record>) -> Result<Option<MadeHosts>> {
        let config = record.and_then(|record| record.config.as_deref());
        let loading = apyfal::configuration::load(config, &self.surroundings.environment);
        let loaded = self.cancel.or_cancelled(loading).await;
        let mut configuration = match loaded {
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => {
                self.printer.warning(error);
                Configuration::default()
            }
            Ok(configuration) => configuration,
        };
        for (key, value) in record.into_iter().flat_map(|record| &record.host) {
            configuration.set_value("host", key, value);
        }
        Ok(MadeHosts::of(&configuration, &self.surroundings))
    }

    /// Where a configuration has jobs run.
    pub(crate) fn chosen(&self, configuration: &Configuration) -> Result<ChosenHosts> {
        let chosen = ChosenHosts::of(configuration, &self.surroundings)?;
        chosen.warning.iter().for_each(|warning| self.printer.warning(warning));
        Ok(chosen)
    }

    /// Tells what is to be told of the host that was made for an accelerator.
    pub(crate) fn tell_of_host(&self, accelerator: &Accelerator) {
        accelerator.host_notes().iter().for_each(|note| self.printer.note(note));
    }

    /// The accelerator of a name, its session taken up again where it has one.
    pub(crate) async fn accelerator(&self, name: &str, record: &Record) -> Result<Accelerator> {
        let configuration = self.configuration(record.config.as_deref()).await?;
        let surroundings = self.surroundings.clone();
        self.build(self.names.builder(name, record, configuration, surroundings)?)
    }

    /// The host that was stopped or kept for a name which is forgotten.
    fn host_left(&self, name: &str) -> Option<HostRecord> {
        let hosts = MadeHosts::of(&Configuration::default(), &self.surroundings)?;
        let mut hosts = hosts.remembered().ok()?.into_iter();
        hosts.find(|host| host.usage.is_of(name))
    }

    /// What is remembered of a name that must have been created.
    pub(crate) fn record(&self, name: &str) -> Result<Record> {
        self.names.read(name)?.ok_or_else(|| {
            if let Some(host) = self.host_left(name) {
                let why = format!(
                    "no accelerator is named '{name}', though its host {} is there",
                    host.name
                );
                return Error::new(ErrorKind::NotFound, why)
                    .hint(format!("use it again: {}", stop::again(&host)))
                    .hint(format!(
                        "or delete it: apyfal stop --name {} --stop_mode term",
                        quoted(name)
                    ));
            }
            let create = format!("apyfal create --name {} --accelerator gzip", quoted(name));
            Error::new(ErrorKind::NotFound, format!("no accelerator is named '{name}'"))
                .hint(format!("create one: {create}"))
                .hint("or do it in one step: apyfal run gzip in.txt out.gz")
        })
    }
}

/// The host to use, in commands without a name.
#[derive(Args, Clone, Debug)]
pub(crate) struct HostArguments {
    /// Run it on this host instead of here: a name of 'apyfal host list', host:port or
    /// http(s)://host:port. Several, with commas in between, share the jobs.
    #[arg(long = "host_ip", alias = "host-ip", value_name = "HOST")]
    host_ip: Option<String>,
    #[command(flatten)]
    proofs: Proofs,
}

/// What proves a client and a host to each other.
#[derive(Args, Clone, Debug)]
pub(crate) struct Proofs {
    /// The host's token, as 'apyfal serve' printed it.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// File with the host's token.
    #[arg(long = "token_file", alias = "token-file", value_name = "FILE")]
    token_file: Option<String>,
    /// The fingerprint of the host's certificate, as 'apyfal serve' printed it.
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    /// The host's certificate, or False to use plain http.
    #[arg(long = "ssl_cert_crt", alias = "ssl-cert-crt", value_name = "FILE")]
    ssl_cert_crt: Option<String>,
}

impl Proofs {
    /// Sets what was given.
    fn apply(self, configuration: &mut Configuration) {
        let Self { token, token_file, fingerprint, ssl_cert_crt } = self;
        for (key, value) in [
            ("token", token),
            ("token_file", token_file),
            ("fingerprint", fingerprint),
            ("ssl_cert_crt", ssl_cert_crt),
        ] {
            configuration.set("host", key, value.as_deref());
        }
    }
}

impl HostArguments {
    /// The same for this host, where one is named so.
    pub(crate) fn or_at(self, host: Option<String>) -> Self {
        Self { host_ip: host.or(self.host_ip), ..self }
    }

    /// Whether a host was named.
    pub(crate) fn names_a_host(&self) -> bool {
        self.host_ip.is_some()
    }

    /// Sets what was given over what the configuration says.
    ///
    /// # Errors
    /// The configuration cannot be interpolated.
    fn apply(self, configuration: &mut Configuration) -> Result<()> {
        let Self { host_ip, proofs } = self;
        if let Some(address) = &host_ip {
            forget_other_hosts(configuration, address)?;
        }
        configuration.set("host", "host_ip", host_ip.as_deref());
        proofs.apply(configuration);
        Ok(())
    }
}

/// Refuses to have two things read standard input, which gives its data once.
pub(crate) fn one_takes_stdin(taken: &[(&str, Option<&str>)]) -> Result<()> {
    let mut taken = taken.iter().filter(|(_, url)| *url == Some("-")).map(|(what, _)| what);
    match (taken.next(), taken.next()) {
        (Some(one), Some(other)) => {
            Err(Error::new(ErrorKind::Usage, format!("{one} and {other} cannot both be there"))
                .operation("read standard input")
                .hint(format!("name a file for {one} or {other}")))
        }
        _ => Ok(()),
    }
}

/// Where an accelerator is ready: for people, and for scripts of the original.
pub(crate) fn place(accelerator: &Accelerator) -> Option<String> {
    let hosts = accelerator.hosts();
    let addresses: Vec<_> = hosts.iter().map(Remote::url).collect();
    (!addresses.is_empty()).then(|| format!("Accelerator IP address: {}", addresses.join(", ")))
}

/// Whether a job's data goes to standard output, so that nothing else may.
pub(crate) fn is_standard_output(dst: Option<&str>) -> bool {
    let location = dst.and_then(|url| Location::parse(url).ok());
    location.is_some_and(|location| apyfal::standard::is_output(&location))
}

/// What a job is called while it runs: the accelerator and where its data is, without secrets.
pub(crate) fn title(accelerator: &str, url: Option<&str>) -> String {
    match url.map(Location::parse) {
        Some(Ok(location)) => format!("{accelerator} {location}"),
        _ => accelerator.to_owned(),
    }
}

/// Lets this process have as many files open as the system lets it: every connection is one, and
/// every session in use. What is usual, 1024, is for programs that wait with `select`.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, there are fewer clients or jobs at once.
    let _ = setrlimit(Resource::Nofile, limit);
}
