//! `apyfal init`: begin an accelerator of one's own.

use std::path::PathBuf;

use apyfal::Result;
use apyfal::package::{Language, create_project};
use apyfal::user_data::quoted;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use crate::commands::Context;

/// Begin an accelerator of your own: a directory with a program that works, its manifest and test.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What the accelerator is called.
    name: String,
    /// The directory to make; NAME if unset.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// What the program is written in.
    #[arg(long, short, default_value = "python", value_parser = languages())]
    language: Language,
}

fn languages() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::ALL.map(|(name, _)| name)).map(|chosen| {
        let found = Language::ALL.iter().find(|(name, _)| *name == chosen);
        found.map_or_else(Language::default, |(_, language)| *language)
    })
}

pub(crate) fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let Arguments { name, folder, language } = arguments;
    let folder = folder.unwrap_or_else(|| PathBuf::from(&name));
    create_project(&name, language, &folder)?;
    context.printer.note(&format!("made the accelerator '{name}'; next:"));
    let place = quoted(&folder.to_string_lossy());
    if language == Language::C {
        context.printer.note(&format!("  make -C {place}"));
    }
    context.printer.note(&format!("  apyfal pack {place}"));
    Ok(())
}
