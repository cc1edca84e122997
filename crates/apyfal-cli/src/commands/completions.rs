//! `apyfal completions`: scripts that complete the command line in a shell.

use apyfal::{Error, Result};
use clap::Args;
use clap_complete::Shell;

use crate::arguments::grammar;
use crate::commands::Context;

/// Print the completion script of a shell.
///
/// For bash: `apyfal completions bash > ~/.local/share/bash-completion/completions/apyfal`
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut grammar(), "apyfal", &mut script);
    let script = String::from_utf8(script).map_err(|error| {
        Error::new(apyfal::ErrorKind::Internal, "the completion script is no text").source(error)
    })?;
    context.printer.result(script.trim_end())
}
