//! `apyfal device-helper`: loads images for users who may not; started by systemd or sudo, not by
//! people.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use apyfal::Result;
use apyfal_devices::helper::Helper;
use clap::Args;

use crate::commands::Context;
use crate::commands::devices::tools;

/// Answer one request for a device, a line of JSON on standard input.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A directory below which files of images may lie; can be given several times.
    #[arg(long, value_name = "DIRECTORY", default_values = ["/var/lib/apyfal", "/usr/local/lib/apyfal/packages"])]
    images: Vec<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    // Who called sudo may load what is their own, as those who own a card may.
    let owner = context.variable("SUDO_UID").and_then(|uid| uid.parse().ok());
    let helper = Helper { tools: tools(context), folders: arguments.images, owner };
    // Not buffered, for it is looked at whether something is there to read.
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    helper.serve(input, output, &context.cancel)
}
