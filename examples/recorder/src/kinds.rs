//! The table of kinds of data (V10c): which attribute a recording has by its name.
//!
//! One rule a line, `PATTERN ATTRIBUTE`; the first that matches the file's last path component counts. A pattern
//! may hold `*` (any run of characters), `?` (any one) and spaces, and takes no notice of upper and lower case;
//! a pattern that begins with a dot stands for an extension. The attribute is `confidential`, `public` or
//! `split`. Empty lines and lines that begin with `#` are skipped.
//!
//! ```text
//! # ours
//! holiday*   confidential
//! .mpg       split
//! *.jpg      public
//! ```

use crate::cli::Attribute;
use crate::failure::{Code, Failure};

/// The rules, in the file's order.
#[derive(Clone, Debug, Default)]
pub struct Kinds(Vec<(Vec<char>, Attribute)>);

impl Kinds {
    /// Reads the rules from the file's text.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let rule = line.rsplit_once(char::is_whitespace).and_then(|(pattern, attribute)| {
                let attribute = match attribute {
                    "confidential" => Attribute::Confidential,
                    "public" => Attribute::Public,
                    "split" => Attribute::Split,
                    _ => return None,
                };
                let pattern = pattern.trim_end();
                let glob = if pattern.starts_with('.') { format!("*{pattern}") } else { pattern.to_owned() };
                Some((fold(&glob), attribute))
            });
            rules.push(rule.ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    format!(
                        "line {} of the kinds table isn't PATTERN confidential|public|split: correct it",
                        number + 1
                    ),
                )
            })?);
        }
        Ok(Self(rules))
    }

    /// The attribute of a file of this name, if a rule matches.
    pub fn attribute(&self, name: &str) -> Option<Attribute> {
        let name = fold(name);
        self.0.iter().find(|(pattern, _)| matches(pattern, &name)).map(|(_, attribute)| *attribute)
    }
}

fn fold(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Glob matching that goes back to the last `*` only: linear in practice, never exponential.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}
