//! Patterns with `*` and `?`.

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Character(char),
    /// Any one character.
    One,
    /// Any run of characters, none included.
    Run,
}

impl Token {
    /// Reads a character of a pattern.
    pub(super) const fn wildcard(character: char) -> Self {
        match character {
            '*' => Self::Run,
            '?' => Self::One,
            other => Self::Character(other),
        }
    }
}

/// Matches the whole text. Time grows with the product of both lengths at worst.
pub(super) fn matches<P>(pattern: P, text: &str, same: impl Fn(char, char) -> bool) -> bool
where
    P: Iterator<Item = Token> + Clone,
{
    let (mut pattern, mut text) = (pattern, text.chars());
    // Behind the last `*`, and where in the text its run ends so far.
    let mut retry = None;
    loop {
        let before = (pattern.clone(), text.clone());
        let fits = match pattern.next() {
            Some(Token::Run) => {
                text = before.1;
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            None => match text.next() {
                None => return true,
                Some(_) => false,
            },
            Some(Token::One) => text.next().is_some(),
            Some(Token::Character(expected)) => {
                text.next().is_some_and(|found| same(expected, found))
            }
        };
        if fits {
            continue;
        }
        let Some((after_run, run_end)) = &mut retry else {
            return false;
        };
        if run_end.next().is_none() {
            return false;
        }
        pattern = after_run.clone();
        text = run_end.clone();
    }
}

/// Matches an action: case makes no difference.
pub(super) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    let tokens = pattern.chars().map(Token::wildcard);
    matches(tokens, text, |a, b| a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook definition.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && slow(rest, &text[1..]),
            Some((one, rest)) => text.first() == Some(one) && slow(rest, &text[1..]),
        }
    }

    #[test]
    fn agrees_with_the_textbook_on_every_short_pattern() {
        let words = |alphabet: &[char], longest: u32| {
            let alphabet = alphabet.to_vec();
            let count = alphabet.len();
            (0..=longest).flat_map(move |length| {
                let alphabet = alphabet.clone();
                (0..count.pow(length)).map(move |mut number| {
                    let mut word = Vec::new();
                    for _ in 0..length {
                        word.push(alphabet[number % count]);
                        number /= count;
                    }
                    word
                })
            })
        };
        let texts: Vec<Vec<char>> = words(&['a', 'ß'], 6).collect();
        let mut matched = 0;
        for pattern in words(&['a', 'ß', '*', '?'], 5) {
            let tokens = pattern.iter().copied().map(Token::wildcard);
            for text in &texts {
                let expected = slow(&pattern, text);
                let joined: String = text.iter().collect();
                let found = matches(tokens.clone(), &joined, |a, b| a == b);
                assert_eq!(found, expected, "{pattern:?} {text:?}");
                matched += usize::from(found);
            }
        }
        assert!(matched > 10_000);
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(200) + "b";
        let text = "a".repeat(2_000);
        let tokens = pattern.chars().map(Token::wildcard);
        assert!(!matches(tokens, &text, |a, b| a == b));
    }
}
