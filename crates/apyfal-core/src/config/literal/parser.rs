//! The grammar of literals, as far as `ast.literal_eval` takes it.
//!
//! One pass without backtracking: linear time. The depth is bounded as in CPython's tokenizer, so
//! recursion is safe.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;

use num_bigint::BigInt;

use super::{Literal, strings};

/// CPython: `MAXLEVEL` of the tokenizer, "too many nested parentheses".
const MAX_DEPTH: usize = 200;

/// CPython: `sys.int_info.default_max_str_digits`.
const MAX_DIGITS: usize = 4300;

/// The same limit in bits, for digits that are not decimal.
const MAX_BITS: usize = 14_284;

/// What an expression is, as far as operators care.
enum Node {
    /// A number without sign, which `+` and `-` take.
    Number(Literal),
    /// A number with a sign, which may stand left of `+` and `-`.
    Signed(Literal),
    /// Anything else.
    Other(Literal),
}

impl Node {
    fn into_literal(self) -> Literal {
        match self {
            Self::Number(literal) | Self::Signed(literal) | Self::Other(literal) => literal,
        }
    }
}

/// Reads `text` as one expression.
pub(super) fn parse(text: &str) -> Option<Literal> {
    if text.contains('\0') {
        return None;
    }
    let text = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    parser.skip_empty_lines()?;
    let literal = parser.bare_tuple()?;
    parser.skip()?;
    if !parser.rest.is_empty() && !parser.rest.starts_with('\n') {
        return None;
    }
    parser.skip_empty_lines()?;
    parser.rest.is_empty().then_some(literal)
}

struct Parser<'a> {
    rest: &'a str,
    /// How many brackets are open. Within brackets the ends of lines are white space.
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes off what `matches` says, which are ASCII characters.
    fn take_while(&mut self, matches: impl Fn(u8) -> bool) -> &str {
        let end = self.rest.bytes().position(|byte| !matches(byte)).unwrap_or(self.rest.len());
        let (head, tail) = self.rest.split_at(end);
        self.rest = tail;
        head
    }

    /// Skips white space within a line; whether that indents what follows at the start of a line.
    fn indent(&mut self) -> bool {
        let blank = self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\x0c'));
        // A form feed starts the line anew.
        !blank.is_empty() && !blank.ends_with('\x0c')
    }

    /// Skips white space and comments between two tokens.
    fn skip(&mut self) -> Option<()> {
        loop {
            self.indent();
            match self.peek() {
                Some('#') => self.skip_comment(),
                Some('\n') if self.depth > 0 => self.rest = &self.rest[1..],
                Some('\\') => self.join_line()?,
                _ => return Some(()),
            }
        }
    }

    /// Skips lines without tokens, up to the next token, which must not be indented, or the end.
    ///
    /// White space on a last line without an end counts as an indentation too, as in Python.
    fn skip_empty_lines(&mut self) -> Option<()> {
        let mut indented = false;
        loop {
            indented |= self.indent();
            match self.peek() {
                Some('#') => {
                    self.skip_comment();
                    indented = false;
                }
                Some('\n') => {
                    self.rest = &self.rest[1..];
                    indented = false;
                }
                Some('\\') => self.join_line()?,
                _ => return (!indented).then_some(()),
            }
        }
    }

    fn skip_comment(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }

    /// Skips a backslash and the end of its line, which must not be the last.
    fn join_line(&mut self) -> Option<()> {
        self.rest = self.rest.strip_prefix("\\\n").filter(|rest| !rest.is_empty())?;
        Some(())
    }

    /// `1` or `1, 2`.
    fn bare_tuple(&mut self) -> Option<Literal> {
        let first = self.expression()?.into_literal();
        if !self.eat(",") {
            return Some(first);
        }
        let mut items = vec![first];
        loop {
            self.skip()?;
            if self.rest.is_empty() || self.rest.starts_with('\n') {
                return Some(Literal::Tuple(items));
            }
            items.push(self.expression()?.into_literal());
            if !self.eat(",") {
                return Some(Literal::Tuple(items));
            }
        }
    }

    /// An operand, or `1+2j`. Skips the white space behind it.
    fn expression(&mut self) -> Option<Node> {
        let left = self.operand()?;
        let minus = match self.peek() {
            Some('+') => false,
            Some('-') => true,
            _ => return Some(left),
        };
        self.rest = &self.rest[1..];
        self.skip()?;
        let left = match left {
            Node::Number(literal) | Node::Signed(literal) => real(&literal)?,
            Node::Other(_) => return None,
        };
        let Node::Number(Literal::Complex { re, im }) = self.primary()? else { return None };
        let (re, im) = if minus { (left - re, 0.0 - im) } else { (left + re, 0.0 + im) };
        Some(Node::Other(Literal::Complex { re, im }))
    }

    fn operand(&mut self) -> Option<Node> {
        let minus = match self.peek()? {
            '+' => false,
            '-' => true,
            _ => return self.primary(),
        };
        self.rest = &self.rest[1..];
        self.skip()?;
        let Node::Number(number) = self.primary()? else { return None };
        Some(Node::Signed(match number {
            Literal::Int(value) if minus => Literal::Int(-value),
            Literal::Float(value) if minus => Literal::Float(-value),
            Literal::Complex { re, im } if minus => Literal::Complex { re: -re, im: -im },
            number => number,
        }))
    }

    fn primary(&mut self) -> Option<Node> {
        let node = match self.peek()? {
            '0'..='9' | '.' => Node::Number(self.number()?),
            '(' => self.bracket(Self::group)?,
            '[' => Node::Other(Literal::List(self.bracket(|parser| parser.items(']'))?)),
            '{' => self.bracket(Self::set_or_dict)?,
            _ => Node::Other(self.word()?),
        };
        self.skip()?;
        Some(node)
    }

    /// Reads what is in a pair of brackets; `inside` takes the closing one.
    fn bracket<T>(&mut self, inside: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.rest = &self.rest[1..];
        self.skip()?;
        let result = inside(self)?;
        self.depth -= 1;
        Some(result)
    }

    /// Items up to the closing bracket.
    fn items(&mut self, close: char) -> Option<Vec<Literal>> {
        let mut items = Vec::new();
        loop {
            if self.eat_char(close) {
                return Some(items);
            }
            items.push(self.expression()?.into_literal());
            self.comma(close)?;
        }
    }

    fn eat_char(&mut self, token: char) -> bool {
        self.eat(token.encode_utf8(&mut [0; 4]))
    }

    /// Takes a comma, which may only be missing before the closing bracket.
    fn comma(&mut self, close: char) -> Option<()> {
        if self.eat(",") {
            return self.skip();
        }
        self.rest.starts_with(close).then_some(())
    }

    /// `()`, `(1)` or `(1, 2)`.
    fn group(&mut self) -> Option<Node> {
        if self.eat(")") {
            return Some(Node::Other(Literal::Tuple(Vec::new())));
        }
        let first = self.expression()?;
        if self.eat(")") {
            return Some(first);
        }
        self.comma(')')?;
        let mut items = vec![first.into_literal()];
        items.append(&mut self.items(')')?);
        Some(Node::Other(Literal::Tuple(items)))
    }

    fn set_or_dict(&mut self) -> Option<Node> {
        if self.eat("}") {
            return Some(Node::Other(Literal::Dict(Vec::new())));
        }
        let first = self.expression()?.into_literal();
        if self.rest.starts_with(':') {
            return self.dict(first);
        }
        self.comma('}')?;
        let mut items = vec![first];
        items.append(&mut self.items('}')?);
        let mut seen = HashSet::new();
        let mut unique = Vec::with_capacity(items.len());
        for item in items {
            if seen.insert(item.identity()?) {
                unique.push(item);
            }
        }
        Some(Node::Other(Literal::Set(unique)))
    }

    fn dict(&mut self, first: Literal) -> Option<Node> {
        let mut items: Vec<(Literal, Literal)> = Vec::new();
        let mut positions = HashMap::new();
        let mut key = first;
        loop {
            if !self.eat(":") {
                return None;
            }
            self.skip()?;
            let value = self.expression()?.into_literal();
            let position = *positions.entry(key.identity()?).or_insert(items.len());
            match items.get_mut(position) {
                Some(item) => item.1 = value,
                None => items.push((key, value)),
            }
            self.comma('}')?;
            if self.eat("}") {
                return Some(Node::Other(Literal::Dict(items)));
            }
            key = self.expression()?.into_literal();
        }
    }

    /// A string, a constant or `set()`.
    fn word(&mut self) -> Option<Literal> {
        if let Some((literal, rest)) = strings::piece(self.rest)? {
            self.rest = rest;
            return self.concatenated(literal);
        }
        match self
            .take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii())
        {
            "None" => Some(Literal::None),
            "True" => Some(Literal::Bool(true)),
            "False" => Some(Literal::Bool(false)),
            "set" => {
                self.skip()?;
                self.rest.starts_with('(').then_some(())?;
                self.bracket(|parser| parser.eat(")").then(|| Literal::Set(Vec::new())))
            }
            _ => None,
        }
    }

    /// Joins the strings that follow a string.
    fn concatenated(&mut self, mut literal: Literal) -> Option<Literal> {
        loop {
            self.skip()?;
            let Some((next, rest)) = strings::piece(self.rest)? else { return Some(literal) };
            self.rest = rest;
            match (&mut literal, next) {
                (Literal::Str(text), Literal::Str(next)) => text.push_str(&next),
                (Literal::Bytes(bytes), Literal::Bytes(next)) => bytes.extend(next),
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<Literal> {
        let start = self.rest;
        let radix = match start.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => return self.decimal(),
        };
        self.rest = &start[2..];
        self.eat("_");
        integer(&self.digits(radix)?, radix)
    }

    /// `1`, `1.5`, `1e3`, `2j`.
    fn decimal(&mut self) -> Option<Literal> {
        let mut text = String::new();
        if !self.rest.starts_with('.') {
            text = self.digits(10)?;
        }
        let mut is_float = false;
        if self.eat(".") {
            is_float = true;
            text.push('.');
            if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
                text.push_str(&self.digits(10)?);
            } else if text.len() == 1 {
                return None;
            }
        }
        if self.eat("e") || self.eat("E") {
            is_float = true;
            text.push('e');
            if self.eat("-") {
                text.push('-');
            } else {
                self.eat("+");
            }
            text.push_str(&self.digits(10)?);
        }
        if self.eat("j") || self.eat("J") {
            return Some(Literal::Complex { re: 0.0, im: text.parse().ok()? });
        }
        if is_float {
            return Some(Literal::Float(text.parse().ok()?));
        }
        let leading_zero = text.starts_with('0') && text.bytes().any(|digit| digit != b'0');
        if leading_zero { None } else { integer(&text, 10) }
    }

    /// Digits with single `_` between them, without these.
    fn digits(&mut self, radix: u32) -> Option<String> {
        let is_digit = |byte: u8| char::from(byte).is_digit(radix);
        let mut digits = String::new();
        loop {
            let run = self.take_while(is_digit);
            if run.is_empty() {
                return None;
            }
            digits.push_str(run);
            if !self.eat("_") {
                return Some(digits);
            }
        }
    }
}

fn integer(digits: &str, radix: u32) -> Option<Literal> {
    let digits = digits.trim_start_matches('0');
    let fits = match radix {
        10 => digits.len() <= MAX_DIGITS,
        _ => digits.len() * radix.ilog2() as usize <= MAX_BITS,
    };
    if digits.is_empty() {
        return Some(Literal::Int(BigInt::ZERO));
    }
    if fits { BigInt::parse_bytes(digits.as_bytes(), radix).map(Literal::Int) } else { None }
}

/// A real number as a float; Python refuses integers that are too large for one.
fn real(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Int(value) => {
            value.to_string().parse().ok().filter(|value: &f64| value.is_finite())
        }
        Literal::Float(value) => Some(*value),
        _ => None,
    }
}
