//! Why a program does not start.

use std::io;
use std::path::Path;

use apyfal_core::{Error, ErrorKind};
use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};
use rustix::io::Errno;

/// The error for a program that the system did not start: why, and what to do.
pub fn not_started(program: &Path, error: io::Error) -> Error {
    let shown = program.display();
    let (message, hint) = match error.kind() {
        io::ErrorKind::NotFound if program.exists() => (
            format!("the interpreter or loader of '{shown}' is missing"),
            Some("look at its first line, or at 'ldd' of it"),
        ),
        io::ErrorKind::NotFound => (
            format!("there is no program '{shown}'"),
            Some("install it, or correct its name where it is configured"),
        ),
        io::ErrorKind::PermissionDenied => forbidden(program),
        _ if is_of(&error, &[Errno::NOEXEC]) => (
            format!("'{shown}' is not a program"),
            Some("a script names its interpreter on its first line: #!/bin/sh"),
        ),
        // Of what it lacks there is more once others are done.
        _ if error.kind() == io::ErrorKind::WouldBlock || is_of(&error, &[Errno::NOMEM]) => {
            let why = apyfal_core::root_cause(&error);
            return Error::new(ErrorKind::Unavailable, format!("'{shown}' does not start: {why}"))
                .source(error)
                .hint("try again once others are done, or raise the limit of processes (ulimit -u)")
                .retryable();
        }
        _ if is_of(&error, &[Errno::MFILE, Errno::NFILE]) => {
            return Error::from(error).operation(format!("start '{shown}'"));
        }
        _ => {
            let why = apyfal_core::root_cause(&error);
            (format!("'{shown}' does not start: {why}"), None)
        }
    };
    let error = Error::new(ErrorKind::Engine, message).source(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn is_of(error: &io::Error, numbers: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|number| numbers.contains(&number))
}

/// Why a program may not be executed: the mode of its file is only one reason.
fn forbidden(program: &Path) -> (String, Option<&'static str>) {
    let shown = program.display();
    if program.parent() == Some(Path::new("")) {
        // Which of those on the search path it is only the system knows.
        return (
            format!("'{shown}' may not be executed"),
            Some("make it executable (chmod +x), on a file system that is not mounted noexec"),
        );
    }
    let Ok(found) = std::fs::metadata(program) else {
        return (
            format!("'{shown}' is in a directory that this user may not enter"),
            Some("let this user enter the directory: chmod +x"),
        );
    };
    if found.is_dir() {
        return (format!("'{shown}' is a directory"), Some("name a program in it"));
    }
    if statvfs(program).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return (
            format!("'{shown}' is on a file system that is mounted noexec"),
            Some("put it where programs may run, or mount that file system without noexec"),
        );
    }
    match accessat(CWD, program, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => (
            format!("the interpreter of '{shown}' may not be executed"),
            Some("look at its first line: what it names must be a program that may be executed"),
        ),
        Err(_) => (format!("'{shown}' may not be executed"), Some("make it executable: chmod +x")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn message(program: &Path) -> String {
        let error = Command::new(program).spawn().unwrap_err();
        let error = not_started(program, error);
        assert!(!error.hints().is_empty());
        error.message().to_owned()
    }

    #[test]
    fn what_the_machine_lacks_for_now_may_be_tried_again() {
        for number in [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM] {
            let error = not_started(Path::new("/bin/x"), number.into());
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.is_retryable() && error.to_string().contains("/bin/x"), "{error}");
        }
    }

    #[test]
    fn it_is_told_why_a_program_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let forbidden = folder.path().join("forbidden");
        fs::write(&forbidden, "#!/bin/sh\n").unwrap();
        let script = folder.path().join("script");
        for (text, mode, why) in [
            ("#!/bin/sh\n".to_owned(), 0o644, "may not be executed"),
            ("#!/nonexistent/sh\n".to_owned(), 0o755, "interpreter or loader"),
            (format!("#!{}\n", forbidden.display()), 0o755, "the interpreter of"),
            ("\u{1}\u{2}".to_owned(), 0o755, "is not a program"),
        ] {
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, Permissions::from_mode(mode)).unwrap();
            assert!(message(&script).contains(why), "{}", message(&script));
        }
        assert!(message(folder.path()).contains("is a directory"));
        assert!(message(Path::new("/nonexistent/program")).contains("there is no program"));
    }
}
