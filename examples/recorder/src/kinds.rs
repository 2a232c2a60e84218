//! The table of kinds of data (V10c): which attribute a recording has by its name.
//!
//! One rule a line, `PATTERN ATTRIBUTE`; the first that matches the file's last path component counts. A pattern
//! may hold `*` (any run of characters), `?` (any one) and spaces, and takes no notice of upper and lower case;
//! a pattern that begins with a dot stands for an extension. The attribute is `confidential`, `public` or
//! `split`, the last with `/SELECTION` and `/seal-rest` behind it if that is wanted. Empty lines and lines that begin with `#` are skipped.
//!
//! ```text
//! # ours
//! holiday*   confidential
//! .mpg       split
//! .ts        split/intra-blocks
//! *.jpg      public
//! ```

use crate::failure::{Code, Failure};
use crate::outgoing::Plan;
use crate::sharing::attributes::parse;

/// The rules, in the file's order.
#[derive(Clone, Debug, Default)]
pub struct Kinds(Vec<(Vec<char>, Plan)>);

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
                let plan = parse(attribute)?;
                let pattern = pattern.trim_end();
                let glob = if pattern.starts_with('.') { format!("*{pattern}") } else { pattern.to_owned() };
                Some((fold(&glob), plan))
            });
            rules.push(rule.ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    format!(
                        "line {} of the kinds table isn't PATTERN confidential|public|split[/SELECTION][/seal-rest]: correct it",
                        number + 1
                    ),
                )
            })?);
        }
        Ok(Self(rules))
    }

    /// How a file of this name travels, if a rule matches.
    pub fn plan(&self, name: &str) -> Option<Plan> {
        let name = fold(name);
        self.0.iter().find(|(pattern, _)| matches(pattern, &name)).map(|(_, plan)| *plan)
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
