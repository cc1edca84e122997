//! `apyfal accelerators`: what there is, and what one of them takes.

use apyfal::package::{Installed, Record};
use apyfal::{
    AcceleratorInfo, Configuration, ErrorKind, Need, ParamSpec, Remote, RemoteOptions, Result,
    Slots, Stage,
};
use clap::Args;
use serde_json::{Value, json};

use crate::commands::{Context, HostArguments};
use crate::printer::harmless;
use crate::table::{WIDTH, table};

/// List the accelerators, or tell everything about one.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The accelerator to tell about.
    accelerator: Option<String>,
    /// The configuration file, which may declare accelerators of your own.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten)]
    host: HostArguments,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let config = arguments.config.as_deref();
    let configuration = context.configuration_with(config, arguments.host).await?;
    let name = arguments.accelerator.as_deref();
    let hosts = context.hosts(&configuration)?;
    let (infos, packages) = match hosts.is_empty() {
        true => (here(&configuration, context, name)?, packages(&configuration, context)?),
        false => (context.cancel.or_cancelled(there(hosts, name)).await?, Vec::new()),
    };
    let text = match (name, infos.first()) {
        (Some(_), Some(info)) if context.printer.json() => {
            format!("{:#}", as_json(info, &packages))
        }
        (Some(_), Some(info)) => page(info, &packages),
        _ if context.printer.json() => {
            let all = infos.iter().map(|info| as_json(info, &packages));
            format!("{:#}", Value::from(all.collect::<Vec<_>>()))
        }
        _ => list(&infos, &packages),
    };
    // Packages say of themselves what they like.
    context.printer.result(&harmless(&text))
}

/// The accelerators of the first host that answers, or one of them. Hosts that share jobs have the
/// same.
async fn there(hosts: Vec<RemoteOptions>, name: Option<&str>) -> Result<Vec<AcceleratorInfo>> {
    let mut last = Ok(Vec::new());
    for host in hosts {
        let host = Remote::new(host)?;
        last = match name {
            Some(name) => host.accelerator(name).await.map(|info| vec![info]),
            None => host.accelerators().await,
        };
        if !last.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            break;
        }
    }
    last
}

/// Those of this machine.
fn here(
    configuration: &Configuration,
    context: &Context<'_>,
    name: Option<&str>,
) -> Result<Vec<AcceleratorInfo>> {
    let registry = context.surroundings.registry(configuration)?;
    if let Some(name) = name {
        return Ok(vec![registry.find(name)?.info().clone()]);
    }
    for (_, error) in registry.broken() {
        context.printer.warning(error);
    }
    Ok(registry.iter().map(|engine| engine.info().clone()).collect())
}

/// The packages whose accelerators are used: those of names that the configuration has not.
fn packages(configuration: &Configuration, context: &Context<'_>) -> Result<Vec<Installed>> {
    let declared = configuration.subsections("accelerator");
    // The later one is used. Why one cannot be used is told where the accelerators are found.
    let stores = context.surroundings.packages().into_iter().rev();
    let found = stores.flat_map(|store| store.list().unwrap_or_default());
    let found = found.filter_map(|(_, found)| found.ok());
    Ok(found
        .filter(|found| !declared.iter().any(|name| name.eq_ignore_ascii_case(&found.record.name)))
        .collect())
}

/// The package that an accelerator is of. What is built in may have the same name, but is no
/// program of a package.
fn package_of<'p>(info: &AcceleratorInfo, packages: &'p [Installed]) -> Option<&'p Installed> {
    let mut packages = packages.iter();
    packages.find(|package| {
        package.record.name == info.name && info.engines.iter().all(|engine| engine.name != "cpu")
    })
}

fn list(infos: &[AcceleratorInfo], packages: &[Installed]) -> String {
    let row = |info: &AcceleratorInfo| {
        let mut row =
            vec![info.name.to_string(), info.summary.to_string(), info.aliases.join(", ")];
        if !packages.is_empty() {
            let package = package_of(info, packages);
            row.push(package.map(|found| found.record.version.to_string()).unwrap_or_default());
            row.push(package.map(|found| found.record.source.clone()).unwrap_or_default());
        }
        row
    };
    let mut header = vec!["ACCELERATOR", "DOES", "ALSO NAMED"];
    if !packages.is_empty() {
        header.extend(["VERSION", "INSTALLED FROM"]);
    }
    let table = table(&header, infos.iter().map(row).collect());
    format!("{table}\n\n'apyfal accelerators NAME' tells all about one.")
}

fn page(info: &AcceleratorInfo, packages: &[Installed]) -> String {
    let mut text = format!("{}: {}\n", info.name, info.summary);
    if !info.aliases.is_empty() {
        text += &format!("Also named: {}\n", info.aliases.join(", "));
    }
    if let Some(package) = package_of(info, packages) {
        let Record { version, source, digest, .. } = &package.record;
        text += &format!("Package: {version} from {source}\nSHA-256: {digest}\n");
        for key in &package.signed_by {
            text += &format!("Signed with: {key}\n");
        }
        if let Some(previous) = &package.previous {
            text += &format!("Version before: {}\n", previous.version);
        }
    }
    if !info.description.is_empty() {
        text += &format!("\n{}\n", wrapped(&info.description));
    }
    text += &format!(
        "\nstart source: {}    source: {}    destination: {}\n",
        need(info.start_src),
        need(info.src),
        need(info.dst)
    );
    for engine in &info.engines {
        text += &format!("jobs at once: {}    engine: {}", slots(engine.slots), engine.name);
        if !engine.needs.is_empty() {
            text += &format!("    needs: {}", engine.needs);
        }
        text.push('\n');
    }
    if info.params.is_empty() {
        text += "\nIt takes no parameters.";
    } else {
        let rows = info.params.iter().map(row).collect();
        text += "\n";
        text += &table(&["PARAMETER", "OF", "TAKES", "DEFAULT", "MEANING"], rows);
    }
    text
}

/// Text broken into lines of at most 100 characters, its paragraphs kept.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for (number, paragraph) in text.trim().split("\n\n").enumerate() {
        if number > 0 {
            lines.extend([String::new(), String::new()]);
        }
        for word in paragraph.split_whitespace() {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
    }
    lines.join("\n")
}

fn row(spec: &ParamSpec) -> Vec<String> {
    let default = match &spec.default {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    vec![
        format!("--{}", spec.name),
        stage(spec.stage).to_owned(),
        spec.kind.describe(),
        default,
        spec.help.to_string(),
    ]
}

fn as_json(info: &AcceleratorInfo, packages: &[Installed]) -> Value {
    let parameters: Vec<_> = info
        .params
        .iter()
        .map(|spec| {
            json!({
                "name": spec.name,
                "stage": stage(spec.stage),
                "takes": spec.kind.describe(),
                "default": spec.default,
                "meaning": spec.help,
            })
        })
        .collect();
    json!({
        "name": info.name,
        "aliases": info.aliases,
        "summary": info.summary,
        "description": info.description,
        "engine": info.engines.first().map(|best| &best.name),
        "engines": info.engines.iter().map(|engine| json!({
            "name": engine.name,
            "slots": slots(engine.slots),
            "needs": engine.needs,
        })).collect::<Vec<_>>(),
        "start_source": need(info.start_src),
        "source": need(info.src),
        "destination": need(info.dst),
        "slots": slots(info.slots()),
        "rerun_safe": info.rerun_safe,
        "parameters": parameters,
        "package": package_of(info, packages).map(|found| json!({
            "version": found.record.version.to_string(),
            "source": found.record.source,
            "sha256": found.record.digest.to_string(),
            "signed_by": found.signed_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "previous": found.previous.as_ref().map(|previous| previous.version.to_string()),
        })),
    })
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Start => "start",
        Stage::Process => "process",
    }
}

fn need(need: Need) -> &'static str {
    match need {
        Need::None => "none",
        Need::Optional => "optional",
        Need::Required => "required",
    }
}

fn slots(slots: Slots) -> String {
    match slots {
        Slots::Cores => "one per core".to_owned(),
        Slots::Fixed(count) => count.to_string(),
    }
}
