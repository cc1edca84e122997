//! The binary for hosts: one static file that runs on any Linux machine of its architecture.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::run::{self, Result};

/// Build the agent as one static file, and try it in an empty root file system.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Build it like the tests do, which is quicker, to try the way and not the file.
    #[arg(long)]
    debug: bool,
}

/// Builds it into `target/dist`, its SHA-256 beside it.
pub(crate) fn run(options: &Options, target: &Path) -> Result {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = target.join("dist");
    let mut build = run::cargo();
    build
        .args(["build", "--locked", "--package=apyfal-cli", "--target", &triple])
        .arg("--target-dir")
        .arg(&folder)
        // The C library is linked in: its resolver of names needs no other file since version 2.34. At a
        // fixed address it starts sooner, as the ordinary build does.
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    if !options.debug {
        build.arg("--release");
    }
    run::shown(&mut build)?;
    let profile = if options.debug { "debug" } else { "release" };
    let built = folder.join(&triple).join(profile).join("apyfal");
    is_static(&built)?;
    in_empty_root(&built)?;
    let name = format!("apyfal-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let file = folder.join(&name);
    fs::copy(&built, &file)?;
    let digest = Command::new("sha256sum").arg(&name).current_dir(&folder).output()?;
    fs::write(folder.join(format!("{name}.sha256")), &digest.stdout)?;
    print!("{}: {}", file.display(), String::from_utf8_lossy(&digest.stdout));
    Ok(())
}

fn is_static(file: &Path) -> Result {
    // ELF names the program that loads shared libraries in a header of this type; PT_INTERP is 3.
    let elf = fs::read(file)?;
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap_or_default());
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let (table, size, count) = (word(32) as usize, half(54), half(56));
    let loads = (0..count).any(|header| half(table + header * size) == 3);
    match loads {
        true => Err(format!("{} needs shared libraries", file.display()).into()),
        false => Ok(()),
    }
}

/// Runs it where there is no other file: names of hosts are found, and data comes from the web.
fn in_empty_root(built: &Path) -> Result {
    let root = built.with_file_name("root");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("etc"))?;
    fs::create_dir_all(root.join("tmp"))?;
    fs::copy(built, root.join("apyfal"))?;
    fs::write(root.join("etc/hosts"), "127.0.0.1 files.test\n")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(std::result::Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfound");
        }
    });
    let url = format!("http://files.test:{port}/file");
    let is_root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    let mut chroot = Command::new(if is_root { "chroot" } else { "unshare" });
    if !is_root {
        chroot.args(["--user", "--map-root-user", "chroot"]);
    }
    chroot.arg(&root).args(["/apyfal", "copy", &url, "/file"]).env_clear().env("PATH", path());
    run::quiet(&mut chroot)?;
    let got = fs::read(root.join("file"))?;
    fs::remove_dir_all(&root)?;
    match got == b"found" {
        true => Ok(()),
        false => Err("in an empty root file system it got something else".into()),
    }
}

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}
