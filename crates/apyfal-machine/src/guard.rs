//! Ends programs whose owner, this process, died without a chance to end them.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use apyfal_core::{Error, ErrorKind, Result};
use rustix::process::Pid;

/// Keeps a list of process groups and kills those that are left when its input ends, which the
/// kernel sees to however this process dies.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=' '
while read -r verb group; do
  case $verb in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*)
         groups="${groups%% $group *} ${groups#* $group }" ;;
       esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// A small shell beside this process that outlives it just long enough to end its programs.
///
/// The kernel's own means (`PR_SET_PDEATHSIG`) would be tied to the thread that started a program,
/// and would not reach what the program itself started.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    list: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts it.
    ///
    /// # Errors
    /// There is no shell.
    pub fn start() -> Result<Self> {
        Self::run(SCRIPT)
    }

    /// One that writes what it would kill to a file instead, one group per line: for tests.
    ///
    /// # Errors
    /// There is no shell.
    #[doc(hidden)]
    pub fn harmless(file: &std::path::Path) -> Result<Self> {
        let kill = format!("kill() {{ echo \"$4\" >>'{}'; }}", file.display());
        Self::run(&format!("{kill}\n{SCRIPT}"))
    }

    fn run(script: &str) -> Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of a Ctrl-C that is meant for us.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Error::new(ErrorKind::Engine, "the shell that guards programs does not start")
                    .context("command", "/bin/sh")
                    .source(error)
            })?;
        let list = Mutex::new(shell.stdin.take());
        Ok(Self { shell, list })
    }

    /// Puts a process group on the list.
    pub fn add(&self, group: Pid) {
        self.write("+", group);
    }

    /// Takes a process group off the list, before its number can be used again.
    pub fn remove(&self, group: Pid) {
        self.write("-", group);
    }

    /// A guard that somebody killed cannot be told; the program runs on without it.
    fn write(&self, verb: &str, group: Pid) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = list.as_mut() {
            let _ = list.write_all(format!("{verb} {}\n", group.as_raw_nonzero()).as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.list.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.shell.wait();
    }
}
