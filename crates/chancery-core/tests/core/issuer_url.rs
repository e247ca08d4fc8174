//! The issuer's URL: what is refused, where, and the paths that follow from it.

use chancery_core::{IssuerUrl, IssuerUrlError};

#[track_caller]
fn refuses(text: &str, expected: IssuerUrlError) {
    assert_eq!(IssuerUrl::parse(text).unwrap_err(), expected, "{text:?}");
}

#[track_caller]
fn accepts(text: &str) -> IssuerUrl {
    let url = IssuerUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(url.as_str(), text);
    assert_eq!(url.to_string(), text);
    assert_eq!(format!("{}{}", url.origin(), url.path()), text);
    url
}

#[test]
fn plain_hosts_ports_and_paths_are_accepted_byte_for_byte() {
    for text in [
        "https://id.example.com",
        "https://id.example.com/",
        "https://api.example.com/idp",
        "https://api.example.com/idp/",
        "https://api.example.com/tenants/a1-B2_c.d~e/v2.0",
        "https://id.example.com:8443",
        "https://id.example.com:1/x",
        "https://id.example.com:65535/",
        "https://localhost",
        "https://under_score.example",
        "https://xn--bcher-kva.example",
        "https://192.0.2.1",
        "https://192.0.2.1:8443/x",
        "https://[2001:db8::1]",
        "https://[::1]:8443/x",
        "https://id.example.com/a:b@c!$&'()*+,;=d",
        "https://id.example.com/b%C3%BCro",
        "https://id.example.com/...",
        "https://id.example.com/.well-known",
    ] {
        accepts(text);
    }
}

#[test]
fn anything_but_https_is_refused() {
    for text in [
        "",
        "id.example.com",
        "//id.example.com",
        "http://id.example.com",
        "HTTPS://id.example.com",
        "https:/id.example.com",
        "https:id.example.com",
        " https://id.example.com",
        "ftp://id.example.com",
        "https",
    ] {
        refuses(text, IssuerUrlError::NotHttps);
    }
}

#[test]
fn http_is_for_loopback_alone_and_only_when_asked_for() {
    for text in [
        "http://localhost",
        "http://localhost:8080/idp",
        "http://127.0.0.1:8080",
        "http://127.8.9.10/",
        "http://[::1]:8080",
    ] {
        refuses(text, IssuerUrlError::NotHttps);
        let url = IssuerUrl::parse_allowing_loopback_http(text).unwrap();
        assert_eq!(url.as_str(), text);
    }
    for text in [
        "http://id.example.com",
        "http://localhost.example.com",
        "http://sub.localhost",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://126.255.255.255",
        "http://128.0.0.1",
        "http://[::2]",
        "http://[2001:db8::1]",
    ] {
        assert_eq!(
            IssuerUrl::parse_allowing_loopback_http(text).unwrap_err(),
            IssuerUrlError::NotLoopback,
            "{text}"
        );
    }
}

#[test]
fn what_loopback_http_allows_is_as_strict_elsewhere() {
    let parse = |text| IssuerUrl::parse_allowing_loopback_http(text);
    assert_eq!(
        parse("http://localhost:80").unwrap_err(),
        IssuerUrlError::Port
    );
    assert_eq!(
        parse("https://localhost:443").unwrap_err(),
        IssuerUrlError::Port
    );
    assert_eq!(
        parse("http://u@localhost").unwrap_err(),
        IssuerUrlError::Userinfo
    );
    assert_eq!(
        parse("http://localhost/?q").unwrap_err(),
        IssuerUrlError::Query
    );
    assert_eq!(
        parse("ftp://localhost").unwrap_err(),
        IssuerUrlError::NotHttps
    );
    // Each scheme has its own default port.
    assert!(parse("http://localhost:443").is_ok());
    assert!(parse("https://localhost:80").is_ok());
    assert!(parse("https://id.example.com").is_ok());
}

#[test]
fn userinfo_is_refused() {
    for text in [
        "https://user@id.example.com",
        "https://user:password@id.example.com/idp",
        "https://@id.example.com",
        "https://id.example.com@evil.example/",
    ] {
        refuses(text, IssuerUrlError::Userinfo);
    }
}

#[test]
fn a_query_is_refused() {
    refuses("https://id.example.com?", IssuerUrlError::Query);
    refuses("https://id.example.com/?tenant=1", IssuerUrlError::Query);
    refuses("https://id.example.com/idp?a#b", IssuerUrlError::Query);
}

#[test]
fn a_fragment_is_refused() {
    refuses("https://id.example.com#", IssuerUrlError::Fragment);
    refuses("https://id.example.com/idp#a?b", IssuerUrlError::Fragment);
}

#[test]
fn control_characters_are_refused_with_their_place() {
    for control in (0..0x20).chain([0x7f]).map(char::from) {
        refuses(
            &format!("https://id.example.com/a{control}b"),
            IssuerUrlError::Character { position: 24 },
        );
        refuses(
            &format!("https://id{control}.example.com"),
            IssuerUrlError::Character { position: 10 },
        );
    }
    // A terminal newline, as a file read whole has it.
    refuses(
        "https://id.example.com\n",
        IssuerUrlError::Character { position: 22 },
    );
    refuses(
        "https://id.example.com/\u{85}",
        IssuerUrlError::Character { position: 23 },
    );
}

#[test]
fn other_characters_that_no_url_has_are_refused_with_their_place() {
    for character in [
        '"', '<', '>', '\\', '^', '`', '{', '|', '}', ' ', 'ü', '\u{2028}', '🦀',
    ] {
        refuses(
            &format!("https://id.example.com/ab{character}"),
            IssuerUrlError::Character { position: 25 },
        );
    }
    // Brackets belong around an IPv6 address and nowhere else.
    refuses(
        "https://id.example.com/a[b]",
        IssuerUrlError::Character { position: 24 },
    );
    refuses(
        "https://bücher.example",
        IssuerUrlError::Character { position: 9 },
    );
}

#[test]
fn bad_ports_are_refused() {
    for port in [
        "",
        "0",
        "00",
        "443",
        "0443",
        "08443",
        "65536",
        "99999999999999999999",
        "-1",
        "+8443",
        "http",
        "84 43",
        "8443x",
    ] {
        let text = format!("https://id.example.com:{port}/");
        if port.contains(' ') {
            refuses(&text, IssuerUrlError::Character { position: 25 });
        } else {
            refuses(&text, IssuerUrlError::Port);
        }
    }
    refuses("https://id.example.com:1:2", IssuerUrlError::Host);
    refuses("https://[::1]:443", IssuerUrlError::Port);
}

#[test]
fn hosts_that_somebody_would_write_otherwise_are_refused() {
    let long_label = format!("https://{}.example", "a".repeat(64));
    let long_name = format!("https://{}.example", vec!["a".repeat(49); 5].join("."));
    for text in [
        "https://",
        "https:///idp",
        "https://:8443",
        "https://ID.example.com",
        "https://id.Example.com",
        "https://id..example.com",
        "https://.example.com",
        "https://id.example.com.",
        "https://-id.example.com",
        "https://id-.example.com",
        "https://id%2eexample.com",
        "https://id*example.com",
        "https://id,example.com",
        &long_label,
        &long_name,
    ] {
        refuses(text, IssuerUrlError::Host);
    }
}

#[test]
fn the_longest_host_is_accepted() {
    let label = "a".repeat(63);
    accepts(&format!("https://{label}.example"));
    let name = format!("{}.{}", vec!["a".repeat(49); 5].join("."), "abc");
    assert_eq!(name.len(), 253);
    accepts(&format!("https://{name}"));
}

#[test]
fn ip_addresses_not_in_their_shortest_form_are_refused() {
    for text in [
        "https://192.0.2",
        "https://192.0.2.256",
        "https://192.0.2.01",
        "https://192.0.2.1.5",
        "https://3221225985",
        "https://0x7f.0.0.1",
        "https://0x7f000001",
        "https://127.0.0.0x1",
        "https://[2001:DB8::1]",
        "https://[2001:db8:0:0:0:0:0:1]",
        "https://[2001:0db8::1]",
        "https://[::1%25eth0]",
        "https://[::1",
        "https://::1]",
        "https://::1",
        "https://[]",
        "https://[192.0.2.1]",
        "https://[::1]x",
        "https://x[::1]",
    ] {
        refuses(text, IssuerUrlError::Host);
    }
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_refused() {
    // RFC 5952 §5 writes ::ffff:192.0.2.1, the URL standard ::ffff:c000:201.
    refuses("https://[::ffff:192.0.2.1]", IssuerUrlError::Host);
    refuses("https://[::ffff:c000:201]", IssuerUrlError::Host);
    assert!(IssuerUrl::parse_allowing_loopback_http("http://[::ffff:127.0.0.1]").is_err());
}

#[test]
fn empty_and_dot_segments_are_refused_with_their_place() {
    for (text, position) in [
        ("https://id.example.com//", 23),
        ("https://id.example.com//idp", 23),
        ("https://id.example.com/idp//", 27),
        ("https://id.example.com/a//b", 25),
        ("https://id.example.com/.", 23),
        ("https://id.example.com/..", 23),
        ("https://id.example.com/./a", 23),
        ("https://id.example.com/a/../b", 25),
        ("https://id.example.com/a/.", 25),
    ] {
        refuses(text, IssuerUrlError::Segment { position });
    }
}

#[test]
fn broken_percent_encoding_is_refused_with_its_place() {
    for (text, position) in [
        ("https://id.example.com/%", 23),
        ("https://id.example.com/a%C", 24),
        ("https://id.example.com/a%C/3", 24),
        ("https://id.example.com/a%GG", 24),
        ("https://id.example.com/%C3%BC%", 29),
        ("https://id.example.com/%%20", 23),
        ("https://id.example.com/%+1", 23),
    ] {
        refuses(text, IssuerUrlError::Character { position });
    }
}

#[test]
fn percent_encoding_that_parsers_undo_is_refused() {
    for (text, position) in [
        // A browser's parser takes these for dot segments and drops them.
        ("https://id.example.com/%2E", 23),
        ("https://id.example.com/a/%2E%2E/b", 25),
        ("https://id.example.com/.%2E/b", 24),
        // RFC 3986 §6.2.2 has unreserved characters decoded and digits in upper case.
        ("https://id.example.com/%41", 23),
        ("https://id.example.com/a%7E", 24),
        ("https://id.example.com/%2D%5F", 23),
        ("https://id.example.com/%c3%bc", 23),
        ("https://id.example.com/%C3%bC", 26),
    ] {
        refuses(text, IssuerUrlError::Character { position });
    }
}

#[test]
fn the_paths_of_the_documents_have_no_double_slash() {
    let suffix = ".well-known/openid-configuration";
    for (text, path) in [
        ("https://id.example.com", ""),
        ("https://id.example.com/", ""),
        ("https://id.example.com/idp", "/idp"),
        ("https://id.example.com/idp/", "/idp"),
        ("https://id.example.com:8443/a/b/", "/a/b"),
    ] {
        let url = accepts(text);
        assert_eq!(url.discovery_path(), format!("{path}/{suffix}"), "{text}");
        assert_eq!(
            url.metadata_path(),
            format!("/.well-known/oauth-authorization-server{path}"),
            "{text}"
        );
        assert_eq!(
            url.inserted_discovery_path(),
            format!("/{suffix}{path}"),
            "{text}"
        );
    }
}

#[test]
fn errors_say_where() {
    let message = |text| IssuerUrl::parse(text).unwrap_err().to_string();
    assert!(message("https://id.example.com//").contains("byte 23"));
    assert!(message("https://id.example.com/ ").contains("byte 23"));
    assert!(message("http://id.example.com").contains("https://"));
}
