//! Old and other names of sections and keys, turned into those of today.

use super::check::Warning;
use super::ini::Ini;
use super::{interpolate, schema};

/// The file with the names of today, and a warning for each use of an old one.
///
/// Where two sections come to mean the same, the one that is written with the name of today wins.
pub(super) fn modernise(ini: Ini) -> (Ini, Vec<Warning>) {
    let mut warnings = Vec::new();
    let mut out = Ini { sections: Default::default(), ..ini };
    let (present, other): (Vec<_>, Vec<_>) =
        ini.sections.into_iter().partition(|(name, _)| schema::present_name(name) == *name);
    for (written, section) in present.into_iter().chain(other) {
        let name = spelled(&written, out.sections.keys());
        let is_legacy = schema::is_legacy(&written);
        let mut warn = |place, message| {
            warnings.push(Warning { origin: out.origin.clone(), place, message });
        };
        if is_legacy {
            let message = format!("the section [{written}] is deprecated; call it [{name}]");
            warn(section.place.clone(), message);
        }
        let rename = |key: &str| schema::present_key(key).filter(|_| is_legacy);
        let mut entries = Vec::with_capacity(section.entries.len());
        for (key, mut entry) in section.entries {
            let present = rename(&key);
            if let Some(present) = present {
                let message = format!("the key '{key}' is deprecated; call it '{present}'");
                warn(entry.place.clone(), message);
            }
            if is_legacy {
                entry.raw = entry.raw.map(|raw| interpolate::rename_references(&raw, rename));
            }
            entries.push((present.map_or(key, str::to_owned), entry));
        }
        let origin = out.origin.clone();
        let target = out.section_mut(&name, section.place);
        for (key, entry) in entries {
            let known = target
                .entries
                .get(&key)
                .filter(|known| known.raw.as_deref().is_some_and(|raw| !raw.is_empty()));
            match known {
                None => {
                    target.entries.insert(key, entry);
                }
                Some(known) if known.raw != entry.raw => {
                    let message =
                        format!("'{key}' of [{written}] is not read: [{name}] has it too");
                    warnings.push(Warning { origin: origin.clone(), place: entry.place, message });
                }
                Some(_) => {}
            }
        }
    }
    (out, warnings)
}

/// The name that a section has among `names`, or would have.
pub(super) fn spelled<'a>(name: &str, mut names: impl Iterator<Item = &'a String>) -> String {
    let name = schema::present_name(name);
    if !schema::ignores_case(&name) {
        return name;
    }
    names.find(|known| known.eq_ignore_ascii_case(&name)).cloned().unwrap_or(name)
}
