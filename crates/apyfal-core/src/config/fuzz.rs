//! Configurations and literals at random: what is none is refused, and nothing breaks.

use super::{Configuration, Literal, read_value};

#[test]
fn any_bytes_are_a_configuration_or_refused() {
    bolero::check!().with_iterations(2_000).with_max_len(1024).for_each(|bytes: &[u8]| {
        let Ok(configuration) = Configuration::parse(bytes, "any bytes") else { return };
        for name in configuration.section_names() {
            let section = configuration.section(name);
            for key in section.keys() {
                // What can be read as text can be read as a literal, which it is or means itself.
                let (text, literal) = (section.get(key), section.get_literal(key));
                assert_eq!(text.is_ok(), literal.is_ok(), "[{name}] {key}");
                let _ = (section.get_bool(key), section.get_list(key));
            }
            let _ = section.entries();
        }
    });
}

#[test]
fn any_text_is_a_literal_or_means_itself() {
    bolero::check!().with_iterations(2_000).with_max_len(1024).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let value = read_value(text);
        match Literal::parse(text) {
            Some(literal) => assert_eq!(literal.to_json(), value),
            None => assert_eq!(value, text),
        }
    });
}
