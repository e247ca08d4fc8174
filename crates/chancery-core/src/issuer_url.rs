//! The issuer's URL, kept byte for byte.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The URL that names an issuer (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
///
/// The bytes given are the bytes published and signed, trailing slash included: relying parties
/// compare them one by one. So a spelling that some of them would normalize is refused rather than
/// mended.
///
/// ```
/// use chancery_core::IssuerUrl;
///
/// let url = IssuerUrl::parse("https://api.example.com/idp")?;
/// assert_eq!(url.as_str(), "https://api.example.com/idp");
/// assert_eq!(url.discovery_path(), "/idp/.well-known/openid-configuration");
/// assert!(IssuerUrl::parse("https://example.com/?tenant=1").is_err());
/// # Ok::<(), chancery_core::IssuerUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IssuerUrl {
    url: Box<str>,
    /// Where the path begins.
    path: usize,
}

impl IssuerUrl {
    /// Parses an https URL without userinfo, query and fragment.
    ///
    /// # Errors
    /// [`IssuerUrlError`] names what is wrong and where.
    pub fn parse(url: &str) -> Result<Self, IssuerUrlError> {
        let Some(rest) = url.strip_prefix("https://") else {
            return Err(IssuerUrlError::NotHttps);
        };
        Self::parse_rest(url, rest, 443).map(|(url, _)| url)
    }

    /// Parses as [`IssuerUrl::parse`] does, and takes `http` too where the host is a loopback
    /// address or `localhost`: for tests and local development.
    ///
    /// # Errors
    /// [`IssuerUrlError`], as for [`IssuerUrl::parse`], and [`IssuerUrlError::NotLoopback`].
    pub fn parse_allowing_loopback_http(url: &str) -> Result<Self, IssuerUrlError> {
        let Some(rest) = url.strip_prefix("http://") else {
            return Self::parse(url);
        };
        let (url, host) = Self::parse_rest(url, rest, 80)?;
        if host.is_loopback() {
            Ok(url)
        } else {
            Err(IssuerUrlError::NotLoopback)
        }
    }

    /// The URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.url[..self.path]
    }

    /// The path: empty, or beginning with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.url[self.path..]
    }

    /// The path of the discovery document: the well-known suffix appended to the issuer's path, and
    /// no double slash (OpenID Connect Discovery 1.0 §4.1).
    #[must_use]
    pub fn discovery_path(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.bare_path())
    }

    /// The path of the authorization server metadata: the well-known part inserted before the
    /// issuer's path (RFC 8414 §3.1).
    #[must_use]
    pub fn metadata_path(&self) -> String {
        format!(
            "/.well-known/oauth-authorization-server{}",
            self.bare_path()
        )
    }

    /// The discovery document's well-known part inserted before the issuer's path, as clients look
    /// for it that know only RFC 8414 (§5).
    #[must_use]
    pub fn inserted_discovery_path(&self) -> String {
        format!("/.well-known/openid-configuration{}", self.bare_path())
    }

    /// The path of the JWKS where the operator names no other.
    pub(crate) fn default_jwks_path(&self) -> String {
        format!("{}/.well-known/jwks.json", self.bare_path())
    }

    fn bare_path(&self) -> &str {
        self.path().strip_suffix('/').unwrap_or(self.path())
    }

    fn parse_rest(
        url: &str,
        rest: &str,
        default_port: u16,
    ) -> Result<(Self, Host), IssuerUrlError> {
        let offset = url.len() - rest.len();
        if let Some(position) = url.find(|character: char| !is_url_character(character)) {
            return Err(match url.as_bytes()[position] {
                b'?' => IssuerUrlError::Query,
                b'#' => IssuerUrlError::Fragment,
                _ => IssuerUrlError::Character { position },
            });
        }
        let authority_len = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_len);
        if authority.contains('@') {
            return Err(IssuerUrlError::Userinfo);
        }
        let host = parse_authority(authority, default_port)?;
        check_path(path, offset + authority_len)?;
        let url = Self {
            url: url.into(),
            path: offset + authority_len,
        };
        Ok((url, host))
    }
}

impl fmt::Debug for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerUrl({})", self.url)
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

enum Host {
    Name { is_localhost: bool },
    Address(IpAddr),
}

impl Host {
    const fn is_loopback(&self) -> bool {
        match self {
            Self::Name { is_localhost } => *is_localhost,
            Self::Address(address) => address.is_loopback(),
        }
    }
}

/// The characters of scheme, authority and path (RFC 3986 §3), brackets included.
const fn is_url_character(character: char) -> bool {
    matches!(character,
        'a'..='z' | 'A'..='Z' | '0'..='9'
        | '-' | '.' | '_' | '~' | '%' | ':' | '/' | '[' | ']' | '@'
        | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=')
}

fn parse_authority(authority: &str, default_port: u16) -> Result<Host, IssuerUrlError> {
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        _ => (authority, None),
    };
    if let Some(port) = port {
        let canonical = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(number) if canonical && number != default_port => {}
            _ => return Err(IssuerUrlError::Port),
        }
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        let parsed: Ipv6Addr = address.parse().map_err(|_| IssuerUrlError::Host)?;
        // Standards disagree on how an IPv4 address is written in IPv6 (RFC 5952 §5, WHATWG URL).
        if parsed.to_string() != address || parsed.to_ipv4_mapped().is_some() {
            return Err(IssuerUrlError::Host);
        }
        return Ok(Host::Address(parsed.into()));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(IssuerUrlError::Host);
    }
    // Some parsers read a host whose last label is a number as an IPv4 address, others don't.
    let last_label = host.rsplit('.').next().unwrap_or(host);
    if last_label.starts_with(|first: char| first.is_ascii_digit()) {
        let address: Ipv4Addr = host.parse().map_err(|_| IssuerUrlError::Host)?;
        return Ok(Host::Address(address.into()));
    }
    Ok(Host::Name {
        is_localhost: host == "localhost",
    })
}

/// Checks that no parser has a reason to write the path otherwise.
fn check_path(path: &str, offset: usize) -> Result<(), IssuerUrlError> {
    let mut position = offset;
    let mut segments = path.split('/').peekable();
    // Before the first slash there is nothing.
    segments.next();
    while let Some(segment) = segments.next() {
        position += 1;
        let is_last = segments.peek().is_none();
        if segment == "." || segment == ".." || (segment.is_empty() && !is_last) {
            return Err(IssuerUrlError::Segment { position });
        }
        let bytes = segment.as_bytes();
        for (index, &byte) in bytes.iter().enumerate() {
            let fits = match byte {
                b'[' | b']' => false,
                b'%' => bytes
                    .get(index + 1..index + 3)
                    .is_some_and(is_normal_percent_encoding),
                _ => true,
            };
            if !fits {
                return Err(IssuerUrlError::Character {
                    position: position + index,
                });
            }
        }
        position += segment.len();
    }
    Ok(())
}

/// Whether the two digits after a `%` stay as they are under normalization (RFC 3986 §6.2.2): in
/// upper case, and not those of a character that needs no encoding. Among the latter is the dot,
/// of which some parsers make dot segments, encoded or not.
fn is_normal_percent_encoding(digits: &[u8]) -> bool {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'A'..=b'F');
    let code = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| is_digit(&digit)))
        .and_then(|digits| u8::from_str_radix(digits, 16).ok());
    code.is_some_and(|code| {
        !code.is_ascii_alphanumeric() && !matches!(code, b'-' | b'.' | b'_' | b'~')
    })
}

/// Why a text cannot name an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerUrlError {
    /// It does not begin with `https://`, in lower case.
    NotHttps,
    /// It is an http URL of another host than a loopback address or `localhost`.
    NotLoopback,
    /// It has a user name or a password.
    Userinfo,
    /// It has a query.
    Query,
    /// It has a fragment.
    Fragment,
    /// The host is empty, not in lower case, not ASCII (write `xn--…`), or malformed.
    Host,
    /// The port is not a number from 1 to 65535, has leading zeros, or is the scheme's default.
    Port,
    /// The path has an empty segment, `.` or `..`.
    Segment {
        /// Where the segment begins, in bytes from 0.
        position: usize,
    },
    /// A character does not belong in a URL, or is percent-encoded otherwise than in upper-case
    /// hexadecimal and only where there is need.
    Character {
        /// Where it stands, in bytes from 0.
        position: usize,
    },
}

impl fmt::Display for IssuerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the issuer URL ")?;
        match self {
            Self::NotHttps => f.write_str(
                "must begin with https://; for tests, parse_allowing_loopback_http takes http",
            ),
            Self::NotLoopback => {
                f.write_str("may use http only with a loopback address or localhost")
            }
            Self::Userinfo => f.write_str("must not have a user name or password"),
            Self::Query => f.write_str("must not have a query (?)"),
            Self::Fragment => f.write_str("must not have a fragment (#)"),
            Self::Host => f.write_str(
                "needs a host: lower-case ASCII labels (xn--… for others) or an IP address in its shortest form",
            ),
            Self::Port => f.write_str(
                "has a port that is no number from 1 to 65535, or the default one, which is left out",
            ),
            Self::Segment { position } => write!(
                f,
                "has an empty or dot segment at byte {position}, which some relying parties drop"
            ),
            Self::Character { position } => {
                write!(
                    f,
                    "has a character at byte {position} that must be percent-encoded, or a percent-encoding that some relying parties would rewrite"
                )
            }
        }
    }
}

impl std::error::Error for IssuerUrlError {}
