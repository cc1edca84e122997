//! What an accelerator is on a host beside what was known of it before there was one.
//!
//! Parameters are checked by what is known here, since a host is not made for what it would refuse. It
//! may have another version of the accelerator nevertheless.

use apyfal_core::{AcceleratorInfo, Need, ParamSpec};
use serde_json::Value;

/// What differs so that calls which are right here would fail there, or do something else; nothing where
/// all is the same.
pub(super) fn between(here: &AcceleratorInfo, there: &AcceleratorInfo) -> Option<String> {
    let parameters = here.params.iter().flat_map(|spec| of_parameter(spec, &there.params));
    let ends = [
        ("start", "source", here.start_src, there.start_src),
        ("process", "source", here.src, there.src),
        ("process", "destination", here.dst, there.dst),
    ];
    let ends =
        ends.into_iter().filter_map(|(call, end, here, there)| of_end(call, end, here, there));
    let all: Vec<_> = parameters.chain(ends).collect();
    (!all.is_empty()).then(|| {
        format!(
            "{} on its host differs from what is known of it here: {}",
            here.name,
            all.join("; ")
        )
    })
}

fn of_parameter(here: &ParamSpec, there: &[ParamSpec]) -> Vec<String> {
    let name = &here.name;
    let Some(there) = there.iter().find(|spec| spec.is_for(name)) else {
        return vec![match name.as_ref() {
            "*" => "it takes no parameters but those that it names".to_owned(),
            _ => format!("it has no parameter '{name}'"),
        }];
    };
    if there.name != *name {
        // It takes any.
        return Vec::new();
    }
    let mut differences = Vec::new();
    if there.kind != here.kind {
        let (there, here) = (there.kind.describe(), here.kind.describe());
        differences.push(format!("'{name}' takes {there}, not {here}"));
    }
    if there.stage != here.stage {
        differences.push(format!("'{name}' is given at another time"));
    }
    if there.default != here.default {
        let shown = |default: &Option<Value>| match default {
            Some(value) => value.to_string(),
            None => "unset".to_owned(),
        };
        let (there, here) = (shown(&there.default), shown(&here.default));
        differences.push(format!("'{name}' is {there} by default, not {here}"));
    }
    differences
}

/// Where it has to be given, or must not be: what may be given is no harm.
fn of_end(call: &str, end: &str, here: Need, there: Need) -> Option<String> {
    match (here, there) {
        (Need::Optional | Need::Required, Need::None) => Some(format!("{call} takes no {end}")),
        (Need::None | Need::Optional, Need::Required) => Some(format!("{call} needs a {end}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use apyfal_core::{ParamKind, Stage};

    use super::*;

    fn info(params: Vec<ParamSpec>) -> AcceleratorInfo {
        AcceleratorInfo { params, ..AcceleratorInfo::new("gzip", "Compress") }
    }

    fn spec(kind: ParamKind) -> ParamSpec {
        ParamSpec::new("level", kind, "How well")
    }

    #[test]
    fn what_matters_to_the_caller_is_told() {
        let integer = |end| spec(ParamKind::Integer(1..=end));
        let here = info(vec![integer(9).default(6)]);
        let differs = |there: AcceleratorInfo, how: &str| {
            let told = between(&here, &there).unwrap();
            assert!(told.starts_with("gzip on its host differs from what is known of it here: "));
            assert!(told.ends_with(&format!(": {how}")), "{told}");
        };
        differs(info(Vec::new()), "it has no parameter 'level'");
        differs(info(vec![integer(9).default(1)]), "'level' is 1 by default, not 6");
        differs(info(vec![integer(9)]), "'level' is unset by default, not 6");
        differs(
            info(vec![integer(4).default(6)]),
            "'level' takes integer 1 to 4, not integer 1 to 9",
        );
        differs(
            info(vec![ParamSpec { stage: Stage::Start, ..integer(9).default(6) }]),
            "'level' is given at another time",
        );
        let there = AcceleratorInfo { dst: Need::None, start_src: Need::Required, ..here.clone() };
        differs(there, "start needs a source; process takes no destination");
    }

    #[test]
    fn what_does_no_harm_is_not_told() {
        let here = info(vec![spec(ParamKind::Bool)]);
        let further = ParamSpec::new("further", ParamKind::Text, "");
        let meaning = ParamSpec { help: "Another text".into(), ..spec(ParamKind::Bool) };
        let there = info(vec![meaning, further]);
        assert_eq!(between(&here, &there), None);
        assert_eq!(between(&here, &info(vec![ParamSpec::any_other("")])), None);
        let optional = AcceleratorInfo { dst: Need::Optional, ..here.clone() };
        assert_eq!(between(&here, &optional), None);
    }
}
