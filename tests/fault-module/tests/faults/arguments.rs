//! Those arguments of Rust's own test programs that make sense here.

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The cases need something from outside, as ignored tests do.
    pub(crate) run_ignored: bool,
    only: Vec<String>,
    skip: Vec<String>,
}

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut this = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--include-ignored" | "--ignored" => this.run_ignored = true,
                "--nocapture" => {}
                "--skip" => this
                    .skip
                    .push(arguments.next().ok_or("--skip needs a part of a name")?),
                flag if flag.starts_with('-') => return Err(format!("no argument {flag}")),
                _ => this.only.push(argument),
            }
        }
        Ok(this)
    }

    pub(crate) fn choose(&self, name: &str) -> bool {
        let is_in = |part: &String| name.contains(part.as_str());
        (self.only.is_empty() || self.only.iter().any(is_in)) && !self.skip.iter().any(is_in)
    }
}
