//! PKCS#11 URIs from configuration files.

use chancery_pkcs11::Pkcs11Uri;

/// What is taken is written in one way, without the PIN, which is taken again and means the same.
pub fn pkcs11_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let uri: Pkcs11Uri = match text.parse() {
        Ok(uri) => uri,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = uri.to_string();
    assert!(written.starts_with("pkcs11:") && written.bytes().all(|byte| byte.is_ascii_graphic()));
    let again: Pkcs11Uri = written.parse().expect("what was written");
    assert_eq!(again.to_string(), written);
    assert_eq!(again.object(), uri.object());
    assert_eq!(again.id(), uri.id());
    assert_eq!(again.object_type(), uri.object_type());
    assert_eq!(again.module_path(), uri.module_path());
    assert_eq!(again.module_name(), uri.module_name());
    // The PIN itself is all that is missing, and is missing.
    let has_pin_itself = uri.pin().is_some_and(|pin| pin.to_string() == "a string");
    assert_eq!(again != uri, has_pin_itself);
    assert!(!has_pin_itself || again.pin().is_none());
}
