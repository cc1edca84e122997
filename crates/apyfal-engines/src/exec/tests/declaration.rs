use super::*;

#[test]
fn a_declaration_says_what_the_engine_is() {
    let declaration = declare(json!({
        "command": "pigz -c '-{level}' {quick}",
        "parameters": {
            "level": {"default": 6, "min": 1, "max": 9, "help": "Effort."},
            "quick": {"choices": ["-q", "-Q"]},
            "name": "x",
        },
        "summary": "Compress",
        "aliases": ["pz", "parallel"],
        "rerun_safe": true,
    }))
    .unwrap();
    let (info, engine) = (declaration.accelerator(), declaration.info());
    assert!(info.is_named("PZ") && info.is_named("mine"));
    assert_eq!((engine.name.as_ref(), info.summary.as_ref()), ("pigz", "Compress"));
    assert_eq!((engine.slots, info.src, info.rerun_safe), (Slots::Cores, Need::Optional, true));
    let kinds: Vec<_> = info.params.iter().map(|spec| spec.kind.describe()).collect();
    assert_eq!(kinds, ["integer 1 to 9", "-q, -Q", "text"]);
    assert_eq!(info.params[0].default, Some(json!(6)));
}

#[test]
fn needs_and_slots_follow_from_the_call() {
    let info = |section| {
        let declaration = declare(section).unwrap();
        (declaration.accelerator().clone(), declaration.info().clone())
    };
    let (both, _) = info(json!({"command": ["cp", "{src}", "{dst}"]}));
    assert_eq!((both.src, both.dst, both.start_src), (Need::Required, Need::Required, Need::None));
    let (original, engine) = info(json!({"executable": "/x"}));
    assert_eq!((engine.slots, original.start_src), (Slots::Fixed(1), Need::Optional));
    let (_, worker) = info(json!({"worker": "w --device 0", "slots": 2}));
    assert_eq!((worker.slots, worker.name.as_ref()), (Slots::Fixed(2), "w"));
}

#[test]
fn mistakes_are_named() {
    for (section, message, hint) in [
        (json!({}), "exactly one of", ""),
        (json!({"command": "a", "worker": "b"}), "exactly one of", ""),
        (json!({"command": "a", "paramters": {}}), "no key 'paramters'", "'parameters'"),
        (json!({"command": "a 'b"}), "cannot be", "quotes"),
        (json!({"command": []}), "name is empty", ""),
        (json!({"command": "a {scr}"}), "'{scr}' is neither", "'{src}'"),
        (json!({"command": "a {whatever}"}), "'{whatever}' is neither", "{{whatever}}"),
        (json!({"command": "{src} a"}), "has a placeholder", ""),
        (json!({"worker": "a {src}"}), "'{src}' is neither", ""),
        (json!({"command": "a", "sudo": "maybe"}), "'sudo' cannot be", "True or False"),
        (json!({"command": "a", "slots": 0}), "'slots' cannot be 0", "1 to 1024"),
        (json!({"executable": "/a", "slots": 2}), "'slots' cannot be 2", "exclusive"),
        (json!({"command": "a", "parameters": {"src": 1}}), "has a meaning", ""),
        (json!({"command": "a", "parameters": {"l": {"defualt": 1}}}), "'defualt'", "'default'"),
        (
            json!({"command": "a", "parameters": {"l": {"type": "int", "default": "x"}}}),
            "default",
            "",
        ),
        (json!({"command": "a", "parameters": {"l": {"type": "interger"}}}), "interger", "integer"),
        (json!({"command": "a", "env": {"A=B": "x"}}), "'env' cannot be", ""),
    ] {
        let error = declare(section.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{section}");
        assert!(error.to_string().contains(message), "{section}: {error}");
        assert!(error.hints().join(" ").contains(hint), "{section}: {:?}", error.hints());
        assert_eq!(fact(&error, "section"), "accelerator.mine");
    }
}

#[test]
fn a_value_is_no_option_of_the_program() {
    let declaration = declare(json!({
        "command": ["tr", "{to}", "{sort}{unit}", "-o{out}", "--name={name}", "{number}", "{mode}",
            "{any}", "{free}", "--", "{last}"],
        "env": {"LEVEL": "{level}"},
        "parameters": {
            "to": "-d", "sort": "", "unit": "", "out": "", "name": "", "level": "", "last": "",
            "number": 1, "mode": {"choices": ["-q", "-v"]}, "any": {"type": "any"},
            "free": {"type": "text", "leading_dash": true},
        },
    }))
    .unwrap();
    let check = |given: Value| {
        let specs = &declaration.accelerator().params;
        let params = Params::check("it", specs, None, given.as_object().unwrap()).unwrap();
        declaration.check(&params)
    };
    for passes in [
        json!({}),
        json!({"to": "-d", "sort": "n", "unit": "-1", "out": "-x", "name": "-x", "last": "-x"}),
        json!({"number": -5, "mode": "-q", "any": -1.5, "free": "-x", "level": "-x"}),
        json!({"to": "a-z", "any": ["-x"]}),
    ] {
        check(passes.clone()).unwrap_or_else(|error| panic!("{passes}: {error}"));
    }
    for (refused, name) in [
        (json!({"to": "-t"}), "to"),
        (json!({"to": "-"}), "to"),
        (json!({"to": "--"}), "to"),
        (json!({"sort": "-n"}), "sort"),
        (json!({"sort": "-", "unit": "n"}), "sort"),
        (json!({"unit": "-n"}), "unit"),
        (json!({"any": "-5"}), "any"),
    ] {
        let error = check(refused.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{refused}");
        let why = format!("'{name}' of mine cannot begin with '-'");
        assert!(error.to_string().contains(&why), "{refused}: {error}");
    }
    for name in ["to", "name", "last", "free", "level", "any"] {
        let error = check(json!({name: "a\0b"})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
        assert!(error.to_string().contains(name) && error.to_string().contains("NUL"), "{error}");
    }
    let error = declare(json!({"command": "a", "parameters": {"l": {"leading_dash": 1}}}));
    assert!(error.unwrap_err().to_string().contains("'leading_dash' cannot be 1"));
}

#[test]
fn sudo_stands_before_the_program_only_where_asked_for() {
    let argv = |section| {
        let invocation =
            declare(section).unwrap().invocation(vec!["a".into()], &Params::default(), &[]);
        invocation.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(argv(json!({"command": "a"})), ["a"]);
    assert_eq!(argv(json!({"command": "a", "sudo": true})), ["sudo", "-n", "--", "a"]);
    assert_eq!(
        argv(json!({"command": "a", "sudo": true, "env": {"A": 1, "B": "2"}})),
        ["sudo", "-n", "--preserve-env=A,B", "--", "a"]
    );
}

#[test]
fn secrets_are_not_shown() {
    let declaration = declare(
        json!({"command": "a", "env": {"API_TOKEN": "hunter2"}, "parameters": {"token": "tr0ub"}}),
    )
    .unwrap();
    assert!(!format!("{declaration:?}").contains("hunter2"));
    let raw = json!({"token": "it's \"tr0ub\""});
    let params =
        Params::check("it", &declaration.accelerator().params, None, raw.as_object().unwrap())
            .unwrap();
    let argv = vec!["a".into(), "--t=it's \"tr0ub\"".into()];
    let invocation = declaration.invocation(argv, &params, &[]);
    assert_eq!(invocation.line(), "a '--t=***'");
    assert_eq!(invocation.mask("hunter2!"), "***!");
    assert_eq!(invocation.mask(&raw.to_string()), r#"{"token":"***"}"#);
}
