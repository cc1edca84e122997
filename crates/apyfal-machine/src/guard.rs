//! Ends programs whose owner, this process, died without a chance to end them.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use apyfal_core::{Error, Result};
use parking_lot::Mutex;
use rustix::process::Pid;

use crate::Group;

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
    /// The leaders of groups that wait for their next program.
    leaders: Mutex<Vec<Child>>,
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
        let mut shell = shell(script).stdin(Stdio::piped()).spawn().map_err(no_shell)?;
        let list = Mutex::new(shell.stdin.take());
        Ok(Self { shell, list, leaders: Mutex::default() })
    }

    /// A process group for one program with all that it starts, which is killed with this process
    /// from the program's first moment on.
    ///
    /// # Errors
    /// There is no shell.
    pub fn group(self: &Arc<Self>) -> Result<Group> {
        let idle = self.leaders.lock().pop();
        let leader = match idle {
            Some(leader) => leader,
            None => shell(":").stdin(Stdio::null()).spawn().map_err(no_shell)?,
        };
        self.write("+", Pid::from_child(&leader));
        Ok(Group::new(self.clone(), leader))
    }

    /// Takes a group back that has nothing running in it, and off the list before its number can be
    /// used again.
    pub(crate) fn take_back(&self, leader: Child) {
        self.write("-", Pid::from_child(&leader));
        self.leaders.lock().push(leader);
    }

    /// A guard that somebody killed cannot be told; the program runs on without it.
    fn write(&self, verb: &str, group: Pid) {
        let mut list = self.list.lock();
        if let Some(list) = list.as_mut() {
            let _ = list.write_all(format!("{verb} {}\n", group.as_raw_nonzero()).as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.list.get_mut().take();
        let _ = self.shell.wait();
        for leader in self.leaders.get_mut() {
            let _ = leader.wait();
        }
    }
}

/// A shell that leads a process group, out of reach of a Ctrl-C that is meant for us.
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script])
        .env_clear()
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

fn no_shell(error: std::io::Error) -> Error {
    crate::not_started("/bin/sh".as_ref(), error).operation("guard programs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_the_groups_that_are_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        let guard = Arc::new(Guard::harmless(&left).unwrap());
        let (first, second) = (guard.group().unwrap(), guard.group().unwrap());
        let (ended, running) = (first.id(), second.id());
        drop(first);
        assert_eq!(guard.group().unwrap().id(), ended, "it is used again");
        // As if this process were killed.
        drop(guard.list.lock().take());
        for _ in 0..3000 {
            if let Ok(killed) = std::fs::read_to_string(&left)
                && killed.ends_with('\n')
            {
                assert_eq!(killed, format!("-{}\n", running.as_raw_nonzero()));
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("nothing was killed");
    }
}
