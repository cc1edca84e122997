//! What machines say on their consoles.

use apyfal_core::Result;
use data_encoding::BASE64;

use super::api::{Api, Params};
use super::failure;
use crate::provider::InstanceId;

/// What Apyfal's own script begins its lines with.
const OURS: &str = "apyfal:";

/// What a machine said, as new as EC2 has it.
///
/// # Errors
/// EC2 does not tell.
pub(crate) async fn of(api: &Api, id: &InstanceId) -> Result<Option<String>> {
    let params = |more: &[(&str, &str)]| -> Params {
        let all = [("InstanceId", id.0.as_str())].into_iter().chain(more.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let said = match api.ec2("GetConsoleOutput", &params(&[("Latest", "true")])).await {
        // Machines that are not of the Nitro system have no more than what was kept of their start.
        Err(error) if failure::code(&error) == Some("UnsupportedOperation") => {
            api.ec2("GetConsoleOutput", &params(&[])).await?
        }
        said => said?,
    };
    let said = said.text("output").and_then(|text| {
        let text: String = text.split_ascii_whitespace().collect();
        BASE64.decode(text.as_bytes()).ok()
    });
    Ok(said.map(|said| told(&String::from_utf8_lossy(&said))))
}

/// The text up to the last line of Apyfal's own, where it has one: that says what went wrong, and what
/// the system says after it buries it.
fn told(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let end = lines.iter().rposition(|line| line.starts_with(OURS));
    lines[..end.map_or(lines.len(), |at| at + 1)].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_what_apyfal_said() {
        let said = "[ 1.0] Linux\r\napyfal: one\r\nsystemd\napyfal: cannot get it\nlogin:\n";
        assert_eq!(told(said), "[ 1.0] Linux\napyfal: one\nsystemd\napyfal: cannot get it");
        assert_eq!(told("Linux\nlogin: \n"), "Linux\nlogin:");
        assert_eq!(told(""), "");
    }
}
