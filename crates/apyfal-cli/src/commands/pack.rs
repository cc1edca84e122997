//! `apyfal pack`: make a package of a directory.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use apyfal::package::{self, Manifest, SUFFIX, Signer};
use apyfal::{Destination, Error, ErrorKind, Location, Result, Sink, Storage};
use apyfal_core::Secret;
use clap::Args;
use serde_json::json;

use crate::commands::Context;
use crate::printer;

/// Make a package of the directory of an accelerator of your own.
///
/// The file accelerator.toml in it says what the accelerator is. Prints the SHA-256 of the package
/// and its name, as sha256sum does. The same files give the same package, bit for bit.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory with accelerator.toml.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The file to write, or the directory to write it to; NAME-VERSION.apyfal here if unset.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sign it with this secret key of minisign; the signature is written beside it.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// File with the password of the secret key.
    #[arg(long = "password_file", alias = "password-file", value_name = "FILE", requires = "sign")]
    password_file: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let manifest = Manifest::load(&arguments.folder)?;
    let signer =
        arguments.sign.as_deref().map(|key| signer(key, arguments.password_file.as_deref()));
    let signer = signer.transpose()?;
    let usual = format!("{}-{}.apyfal", manifest.name, manifest.version);
    let output = match arguments.output {
        None => PathBuf::from(&usual),
        Some(folder) if folder.is_dir() => folder.join(&usual),
        Some(file) => file,
    };
    let (mut file, destination) = begin(&output).await?;
    let packed = package::pack(&arguments.folder, &manifest, &mut file, &context.cancel)
        .map_err(|error| error.operation(writing(&output)))?;
    let mut signature = None;
    if let Some(signer) = signer {
        let name = output.file_name().map(|name| name.to_string_lossy().into_owned());
        let text = signer.sign(&mut file, &name.unwrap_or(usual))?;
        let mut path = output.clone().into_os_string();
        path.push(SUFFIX);
        let path = PathBuf::from(path);
        let (mut file, beside) = begin(&path).await?;
        file.write_all(text.as_bytes())
            .map_err(|error| Error::from(error).operation(writing(&path)))?;
        keep(beside, context).await?;
        signature = Some(path);
    }
    keep(destination, context).await?;
    if context.printer.json() {
        let report = json!({
            "file": output.to_string_lossy(),
            "sha256": packed.digest.to_string(),
            "bytes": packed.size,
            "files": packed.files,
            "signature": signature.as_deref().map(Path::to_string_lossy),
        });
        return context.printer.result(&format!("{report:#}"));
    }
    context.printer.note(&format!(
        "{} {}: {} file{}, {}",
        manifest.name,
        manifest.version,
        packed.files,
        if packed.files == 1 { "" } else { "s" },
        printer::bytes(packed.size as f64)
    ));
    context.printer.result(&format!("{}  {}", packed.digest, output.display()))
}

fn signer(key: &Path, password: Option<&Path>) -> Result<Signer> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Configuration, Error::from(error).message())
                .operation(format!("read '{}'", path.display()))
        })
    };
    let password = match password {
        Some(path) => Some(Secret::new(read(path)?.trim_end_matches(['\r', '\n']))),
        None => None,
    };
    Signer::parse(&read(key)?, password.as_ref())
        .map_err(|error| error.operation(format!("sign with '{}'", key.display())))
}

/// A file under way, which is at its place once it is kept.
async fn begin(output: &Path) -> Result<(File, Destination)> {
    let mut destination = Storage::new().create_output(&Location::file(output)).await?;
    match destination.take_output().map(apyfal::Output::into_sink) {
        Some(Sink::File { file, .. }) => Ok((file, destination)),
        _ => Err(Error::new(ErrorKind::Usage, "it is not a regular file")
            .operation(writing(output))
            .hint("a package is written to a file")),
    }
}

async fn keep(destination: Destination, context: &Context<'_>) -> Result<()> {
    let placed = destination.commit(&context.cancel).await?;
    if let Some(note) = placed.note() {
        context.printer.note(&printer::harmless(&note));
    }
    Ok(())
}

fn writing(output: &Path) -> String {
    format!("write '{}'", output.display())
}
