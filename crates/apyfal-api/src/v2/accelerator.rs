//! Accelerators as a host tells of them.

use std::ops::RangeInclusive;

use apyfal_core::{AcceleratorInfo, EngineInfo, Need, ParamKind, ParamSpec, Slots, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// An accelerator of a host.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Accelerator {
    /// Its name: `gzip`.
    pub name: String,
    /// Other names that mean the same.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What runs it where nobody asks for another: `cpu`, or the program of an accelerator of the
    /// host's own.
    pub engine: String,
    /// All that can run it there, the best first; a job asks for one by `app.engine` of its
    /// parameters.
    #[serde(default)]
    pub engines: Vec<Engine>,
    /// What it does, in one line.
    pub summary: String,
    /// What a user should know before using it.
    #[serde(default)]
    pub description: String,
    /// Whether `start` takes data: `none`, `optional` or `required`.
    pub start_source: String,
    /// Whether a job takes data.
    pub source: String,
    /// Whether a job gives data.
    pub destination: String,
    /// How many jobs of `engine` run at once; absent where that is one per core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<usize>,
    /// Whether a job that was interrupted may simply be run again.
    pub rerun_safe: bool,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// What can run an accelerator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Engine {
    /// Its name.
    pub name: String,
    /// How many of its jobs run at once; absent where that is one per core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<usize>,
    /// What it needs beside cores, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub needs: String,
}

/// A parameter of an accelerator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Parameter {
    /// Its name; `*` stands for any other.
    pub name: String,
    /// Whether only `start` takes it, or each job: `start` or `process`.
    pub stage: String,
    /// Type and range.
    #[serde(flatten)]
    pub takes: ParameterType,
    /// The value where none is given.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub default: Value,
    /// What it means, with its unit.
    pub meaning: String,
}

/// The type and range of a parameter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ParameterType {
    /// True or false.
    Boolean,
    /// A whole number.
    Integer {
        /// The least one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<i64>,
        /// The greatest one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maximum: Option<i64>,
    },
    /// So many bytes: a whole number, or text such as `1MB` or `64KiB`.
    Bytes {
        /// The least number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<i64>,
        /// The greatest number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maximum: Option<i64>,
    },
    /// A number.
    Number {
        /// The least one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<f64>,
        /// The greatest one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maximum: Option<f64>,
    },
    /// Any text.
    Text,
    /// One of these words.
    Choice {
        /// The words.
        values: Vec<String>,
    },
    /// Anything that JSON can say, also of a type that is newer than this client.
    #[serde(other)]
    Any,
}

impl From<&AcceleratorInfo> for Accelerator {
    fn from(info: &AcceleratorInfo) -> Self {
        let best = info.engines.first();
        Self {
            name: info.name.to_string(),
            aliases: info.aliases.iter().map(ToString::to_string).collect(),
            engine: best.map(|best| best.name.to_string()).unwrap_or_default(),
            engines: info.engines.iter().map(Engine::from).collect(),
            summary: info.summary.to_string(),
            description: info.description.to_string(),
            start_source: need_word(info.start_src).to_owned(),
            source: need_word(info.src).to_owned(),
            destination: need_word(info.dst).to_owned(),
            slots: slots(info.slots()),
            rerun_safe: info.rerun_safe,
            parameters: info.params.iter().map(Parameter::from).collect(),
        }
    }
}

impl From<Accelerator> for AcceleratorInfo {
    fn from(wire: Accelerator) -> Self {
        let mut engines: Vec<_> = wire.engines.into_iter().map(EngineInfo::from).collect();
        if engines.is_empty() {
            // A host of the version before tells of one.
            let (name, slots) = (wire.engine, wire.slots);
            engines.push(Engine { name, slots, needs: String::new() }.into());
        }
        Self {
            name: wire.name.into(),
            aliases: wire.aliases.into_iter().map(Into::into).collect(),
            summary: wire.summary.into(),
            description: wire.description.into(),
            params: wire.parameters.into_iter().map(ParamSpec::from).collect(),
            start_src: need(&wire.start_source),
            src: need(&wire.source),
            dst: need(&wire.destination),
            rerun_safe: wire.rerun_safe,
            engines,
        }
    }
}

impl From<&EngineInfo> for Engine {
    fn from(info: &EngineInfo) -> Self {
        Self {
            name: info.name.to_string(),
            slots: slots(info.slots),
            needs: info.needs.to_string(),
        }
    }
}

impl From<Engine> for EngineInfo {
    fn from(wire: Engine) -> Self {
        Self {
            name: wire.name.into(),
            slots: wire.slots.map_or(Slots::Cores, Slots::Fixed),
            needs: wire.needs.into(),
            // It is nothing that a client far away could use.
            quick: 0,
        }
    }
}

fn slots(slots: Slots) -> Option<usize> {
    match slots {
        Slots::Cores => None,
        Slots::Fixed(count) => Some(count),
    }
}

impl From<&ParamSpec> for Parameter {
    fn from(spec: &ParamSpec) -> Self {
        let stage = match spec.stage {
            Stage::Start => "start",
            Stage::Process => "process",
        };
        let takes = match &spec.kind {
            ParamKind::Bool => ParameterType::Boolean,
            ParamKind::Integer(range) => {
                let (minimum, maximum) = bounds(range);
                ParameterType::Integer { minimum, maximum }
            }
            ParamKind::Bytes(range) => {
                let (minimum, maximum) = bounds(range);
                ParameterType::Bytes { minimum, maximum }
            }
            ParamKind::Float(range) => ParameterType::Number {
                minimum: Some(*range.start()).filter(|least| least.is_finite()),
                maximum: Some(*range.end()).filter(|greatest| greatest.is_finite()),
            },
            ParamKind::Text => ParameterType::Text,
            ParamKind::Choice(words) => {
                ParameterType::Choice { values: words.iter().map(ToString::to_string).collect() }
            }
            ParamKind::Any => ParameterType::Any,
        };
        Self {
            name: spec.name.to_string(),
            stage: stage.to_owned(),
            takes,
            default: spec.default.clone().unwrap_or_default(),
            meaning: spec.help.to_string(),
        }
    }
}

impl From<Parameter> for ParamSpec {
    fn from(wire: Parameter) -> Self {
        let kind = match wire.takes {
            ParameterType::Boolean => ParamKind::Bool,
            ParameterType::Integer { minimum, maximum } => {
                ParamKind::Integer(range(minimum, maximum))
            }
            ParameterType::Bytes { minimum, maximum } => ParamKind::Bytes(range(minimum, maximum)),
            ParameterType::Number { minimum, maximum } => ParamKind::Float(
                minimum.unwrap_or(f64::NEG_INFINITY)..=maximum.unwrap_or(f64::INFINITY),
            ),
            ParameterType::Text => ParamKind::Text,
            ParameterType::Choice { values } => {
                ParamKind::Choice(values.into_iter().map(Into::into).collect())
            }
            ParameterType::Any => ParamKind::Any,
        };
        Self {
            name: wire.name.into(),
            kind,
            stage: if wire.stage == "start" { Stage::Start } else { Stage::Process },
            default: Some(wire.default).filter(|value| !value.is_null()),
            help: wire.meaning.into(),
        }
    }
}

/// The ends of a range that are some.
fn bounds(range: &RangeInclusive<i64>) -> (Option<i64>, Option<i64>) {
    let least = Some(*range.start()).filter(|least| *least != i64::MIN);
    (least, Some(*range.end()).filter(|greatest| *greatest != i64::MAX))
}

fn range(minimum: Option<i64>, maximum: Option<i64>) -> RangeInclusive<i64> {
    minimum.unwrap_or(i64::MIN)..=maximum.unwrap_or(i64::MAX)
}

fn need_word(need: Need) -> &'static str {
    match need {
        Need::None => "none",
        Need::Optional => "optional",
        Need::Required => "required",
    }
}

fn need(word: &str) -> Need {
    match word {
        "none" => Need::None,
        "required" => Need::Required,
        _ => Need::Optional,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accelerator_reads_back_equal() {
        let mut info = AcceleratorInfo::new("it", "does it");
        info.aliases.push("cast_it".into());
        let needs = "a slot of aws-f2".into();
        let card = EngineInfo { name: "card".into(), slots: Slots::Fixed(1), needs, quick: 0 };
        info.engines = vec![card, EngineInfo::cpu()];
        info.dst = Need::Optional;
        for kind in [
            ParamKind::Bool,
            ParamKind::Integer(i64::MIN..=9),
            ParamKind::Bytes(0..=i64::MAX),
            ParamKind::Float(0.0..=f64::INFINITY),
            ParamKind::Text,
            ParamKind::Choice(vec!["a".into()]),
            ParamKind::Any,
        ] {
            info.params.push(ParamSpec::new("p", kind, "means").default(1));
        }
        info.params[0] = info.params[0].clone().at_start();
        let text = serde_json::to_string(&Accelerator::from(&info)).unwrap();
        let back = AcceleratorInfo::from(serde_json::from_str::<Accelerator>(&text).unwrap());
        assert_eq!(format!("{back:?}"), format!("{info:?}"));
    }

    #[test]
    fn the_version_before_and_this_one_understand_each_other() {
        let mut info = AcceleratorInfo::new("it", "does it");
        let card = EngineInfo { name: "card".into(), slots: Slots::Fixed(3), ..EngineInfo::cpu() };
        info.engines = vec![card.clone(), EngineInfo::cpu()];
        let mut text = serde_json::to_value(Accelerator::from(&info)).unwrap();
        assert_eq!((&text["engine"], &text["slots"]), (&"card".into(), &3.into()));
        text.as_object_mut().unwrap().remove("engines");
        let back = AcceleratorInfo::from(serde_json::from_value::<Accelerator>(text).unwrap());
        assert_eq!(back.engines, [card]);
    }

    #[test]
    fn a_newer_type_is_any() {
        let text = r#"{"name": "p", "stage": "process", "type": "colour", "meaning": "m"}"#;
        let wire: Parameter = serde_json::from_str(text).unwrap();
        assert_eq!(wire.takes, ParameterType::Any);
    }
}
