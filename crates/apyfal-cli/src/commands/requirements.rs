//! `apyfal requirements`: what an accelerator needs on a type of host.

use std::collections::BTreeMap;

use apyfal::catalog::{self, Artifact, Found, HostRequirements, Image, Requirements};
use apyfal::{Error, ErrorKind, Location, Result};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::commands::Context;
use crate::printer::harmless;
use crate::table::table;

/// Show what an accelerator needs on a type of host: image, instance type and FPGA image.
///
/// It comes from the catalog: --catalog, else 'catalog' or 'server' of section accelize, else
/// APYFAL_CATALOG, else ./catalog.toml, else ~/.apyfal/catalog.toml, else the built-in one.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The accelerator.
    #[arg(long, short)]
    accelerator: String,
    /// The type of host: AWS, OpenStack, Alibaba or localhost. That of the configuration if unset.
    #[arg(long = "host_type", alias = "host-type", value_name = "TYPE")]
    host_type: Option<String>,
    /// The region. That of the configuration if unset; without either all are shown.
    #[arg(long)]
    region: Option<String>,
    /// One of the other images that the catalog offers, by its name.
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The catalog: a file or a URL.
    #[arg(long, value_name = "FILE")]
    catalog: Option<String>,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// An object by region, or of the one region.
    Json,
    /// As a catalog file has it.
    Toml,
    /// Variables for Terraform.
    Tfvars,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let configuration = context.configuration(arguments.config.as_deref()).await?;
    let host = configuration.section("host");
    let host_type = arguments.host_type.or(host.get("host_type")?);
    let host_type = host_type.unwrap_or_else(|| "localhost".to_owned());
    let configured = configuration.section(&format!("host.{host_type}")).get("region")?;
    let region = arguments.region.or(configured);
    let explicit = arguments.catalog.as_deref();
    let found = catalog::find(explicit, &configuration, &context.surroundings.environment);
    let found = context.cancel.or_cancelled(found).await?;
    tell_age(context, &found);
    let mut needs = found.catalog.requirements(&host_type, &arguments.accelerator)?;
    if let Some(region) = &region {
        let there = needs.region(Some(region))?.clone();
        needs.regions = BTreeMap::from([(region.clone(), there)]);
    }
    if let Some(name) = &arguments.image {
        for requirements in needs.regions.values_mut() {
            choose(requirements, name)?;
        }
    }
    let (_, entry) = found.catalog.accelerator(&needs.accelerator)?;
    let shown = Shown {
        package: entry.package.clone(),
        is_one: region.is_some() || needs.regions.len() == 1,
        needs,
        origin: found.origin,
    };
    let format = if context.printer.json() { Format::Json } else { arguments.format };
    context.printer.result(&match format {
        Format::Table => shown.table(),
        Format::Json => format!("{:#}", shown.json()),
        Format::Toml => shown.toml()?,
        Format::Tfvars => shown.tfvars(),
    })
}

/// Says where what is shown is not of today.
pub(crate) fn tell_age(context: &Context<'_>, found: &Found) {
    if let Some(stale) = &found.stale {
        let minutes = stale.age.as_secs() / 60;
        let age = match minutes {
            0 => "less than a minute".to_owned(),
            1..120 => format!("{minutes} min"),
            120..2880 => format!("{} h", minutes / 60),
            _ => format!("{} days", minutes / 1440),
        };
        context.printer.warning(&stale.why);
        context.printer.warning(format!("its last answer is used, {age} old"));
    }
}

fn choose(requirements: &mut Requirements, name: &str) -> Result<()> {
    match requirements.images.get(name) {
        Some(image) => requirements.image = Some(image.clone()),
        None => {
            let names: Vec<_> = requirements.images.keys().map(String::as_str).collect();
            let error = Error::new(ErrorKind::NotFound, format!("there is no image '{name}'"));
            return Err(match names.is_empty() {
                true => error.hint("the catalog offers no other images there"),
                false => error.hint(format!("the catalog has: {}", names.join(", "))),
            });
        }
    }
    Ok(())
}

struct Shown {
    package: Option<Artifact>,
    needs: HostRequirements,
    /// Whether one region was asked for, or there is no other.
    is_one: bool,
    origin: String,
}

impl Shown {
    fn json(&self) -> Value {
        match self.needs.regions.iter().next().filter(|_| self.is_one) {
            None => json!(self.needs),
            Some((region, requirements)) => {
                // What the catalog says comes first: nothing of it stands for what was asked.
                let mut one = values(requirements);
                one.insert("accelerator".to_owned(), json!(self.needs.accelerator));
                one.insert("host_type".to_owned(), json!(self.needs.host_type));
                if region != "*" {
                    one.insert("region".to_owned(), json!(region));
                }
                if let Some(Artifact { url, sha256 }) = &self.package {
                    let package = json!({"url": shown(url), "sha256": sha256});
                    one.insert("package".to_owned(), package);
                }
                Value::Object(one)
            }
        }
    }

    fn table(&self) -> String {
        let mut rows = Vec::new();
        for (region, requirements) in &self.needs.regions {
            let mut region = if region == "*" { "any" } else { region };
            for (key, value) in values(requirements) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                rows.push(vec![harmless(region), harmless(&key), harmless(&value)]);
                region = "";
            }
        }
        let mut text = format!("{} on {}\n", self.needs.accelerator, self.needs.host_type);
        text += &format!("Catalog: {}\n", self.origin);
        if let Some(Artifact { url, sha256 }) = &self.package {
            text += &format!("Package: {}\nSHA-256: {sha256}\n", shown(url));
        }
        match rows.is_empty() {
            true => text + "\nIt needs nothing but the machine.",
            false => text + "\n" + &table(&["REGION", "NEEDS", "VALUE"], rows),
        }
    }

    fn toml(&self) -> Result<String> {
        let mut accelerator = json!({ self.needs.host_type.clone(): self.needs.regions });
        if let Some(package) = &self.package {
            accelerator["package"] = json!(package);
        }
        let catalog = json!({"accelerator": { self.needs.accelerator.clone(): accelerator }});
        let text = toml::to_string(&catalog).map_err(|error| {
            Error::new(ErrorKind::InvalidData, error.to_string()).operation("write it as TOML")
        })?;
        Ok(text.trim_end().to_owned())
    }

    fn tfvars(&self) -> String {
        match self.json() {
            Value::Object(map) => {
                let line =
                    |(key, value): (&String, &Value)| format!("{} = {}", name(key), hcl(value));
                map.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        }
    }
}

fn values(requirements: &Requirements) -> Map<String, Value> {
    let Requirements { image, images: _, instancetype, fpgaimage, environment } = requirements;
    let mut values = Map::new();
    if let Some(image) = image {
        values.insert("image".to_owned(), image_value(image));
    }
    for (key, value) in [("instancetype", instancetype), ("fpgaimage", fpgaimage)] {
        if let Some(value) = value {
            values.insert(key.to_owned(), json!(value));
        }
    }
    values.extend(environment.clone());
    values
}

fn image_value(image: &Image) -> Value {
    image.as_id().map_or_else(|| json!(image), Value::String)
}

/// A URL without secrets.
fn shown(url: &str) -> String {
    Location::parse(url).map_or_else(|_| url.to_owned(), |location| location.to_string())
}

/// A key as the name of a variable.
fn name(key: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let name: String = key.chars().map(good).collect();
    match name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        true => name,
        false => format!("_{name}"),
    }
}

/// A value as Terraform reads it: JSON, but for what would be a template and for two escapes.
fn hcl(value: &Value) -> String {
    let mut text = String::new();
    let mut rest = value.to_string();
    // An escaped backslash is none of an escape.
    while let Some(at) = rest.find('\\') {
        let behind = rest.split_off(at);
        text += &rest;
        let (escape, more) = behind.split_at(2.min(behind.len()));
        text += match escape {
            "\\b" => "\\u0008",
            "\\f" => "\\u000c",
            other => other,
        };
        rest = more.to_owned();
    }
    (text + &rest).replace("${", "$${").replace("%{", "%%{")
}
