//! JSON as Python's `json` module writes it: ASCII only, floats by `repr`, and the bare
//! tokens `NaN`, `Infinity` and `-Infinity`, which JSON proper does not have.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value as Json;

/// A float as Python's `repr` prints it.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{value:?}");
    // Rust writes 1e-5 and 1e16, Python 1e-05 and 1e+16.
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let digits = digits.strip_suffix(".0").unwrap_or(digits);
            let (sign, size) = match exponent.strip_prefix('-') {
                Some(size) => ('-', size),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{size:0>2}")
        }
    }
}

/// A value with the separators of `json.dumps`, or without spaces.
pub(super) fn dumps(value: &Json, spaces: bool) -> String {
    let mut out = String::new();
    write(value, spaces, &mut out);
    out
}

fn write(value: &Json, spaces: bool, out: &mut String) {
    let comma = if spaces { ", " } else { "," };
    let colon = if spaces { ": " } else { ":" };
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        Json::Number(v) if v.is_f64() => {
            out.push_str(&float(v.as_f64().unwrap_or(f64::NAN)));
        }
        Json::Number(v) => {
            let _ = write!(out, "{v}");
        }
        Json::String(v) => string(v, out),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { comma });
                write(item, spaces, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (i, (name, item)) in fields.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { comma });
                string(name, out);
                out.push_str(colon);
                write(item, spaces, out);
            }
            out.push('}');
        }
    }
}

/// A string in quotes, everything beyond ASCII escaped.
pub(super) fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// The line with bare `NaN`, `Infinity` and `-Infinity` put in quotes.
pub(super) fn quoted(line: &str) -> Cow<'_, str> {
    if !line.contains("NaN") && !line.contains("Infinity") {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 8);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find_map(|(i, c)| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends.then_some(i + 1)
            });
            let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
            out.push_str(text);
            rest = after;
            continue;
        }
        let token = ["NaN", "Infinity", "-Infinity"].iter().find(|t| rest.starts_with(**t));
        if let Some(token) = token {
            let _ = write!(out, "\"{token}\"");
            rest = &rest[token.len()..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_pythons_repr() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (1.25e-300, "1.25e-300"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, expected) in cases {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn strings_are_ascii_and_bare_tokens_are_quoted_outside_strings_only() {
        let mut out = String::new();
        string("é\u{1F600}\"\\\n\u{1}", &mut out);
        assert_eq!(out, r#""\u00e9\ud83d\ude00\"\\\n\u0001""#);
        let line = r#"{"a":NaN,"b":[-Infinity,Infinity],"NaN":"say \"NaN\" é"}"#;
        let back: Json = serde_json::from_str(&quoted(line)).unwrap();
        assert_eq!(back["a"], "NaN");
        assert_eq!(back["b"][0], "-Infinity");
        assert_eq!(back["NaN"], "say \"NaN\" é");
    }
}
