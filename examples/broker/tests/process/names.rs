//! V4: what is typed is what is meant, and no name is taken for another.

use crate::support::*;
use std::process::Command;

/// What `enrol` says: exit code, ticket, error.
fn enrol(data: &std::path::Path, identifier: &str, options: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    let output = command.arg("enrol").arg("--data").arg(data).args(options).arg(identifier).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn v4_an_identifier_that_is_not_composed_is_refused_and_the_composed_one_is_told() {
    let folder = folder();
    let (code, _, error) = enrol(folder.path(), "Küche", &[]);
    assert_eq!(code, 0, "{error}");
    // The same to the eye: u and a diaeresis.
    let (code, ticket, error) = enrol(folder.path(), "Ku\u{308}che", &["--allow-look-alike"]);
    assert!(code == 2 && ticket.is_empty(), "{code}");
    assert!(error.contains("(NFC): give Küche,") && error.lines().count() == 1, "{error}");
}

#[test]
fn v4_a_name_that_looks_like_an_enrolled_one_takes_a_person_s_word() {
    // While no broker runs, and beside one.
    for running in [false, true] {
        let folder = folder();
        let data = folder.path();
        let served = running.then(|| Served::start(data));
        assert_eq!(enrol(data, "anna", &[]).0, 0);
        // Cyrillic a; a zero-width joiner; and what a font makes of rn.
        assert_eq!(enrol(data, "Carmen", &[]).0, 0);
        for (alike, of) in [("аnna", "anna"), ("an\u{200d}na", "anna"), ("Carrnen", "Carmen")] {
            let (code, ticket, error) = enrol(data, alike, &[]);
            // What has no place in an identifier at all is told otherwise.
            if code != 2 {
                assert!(code == 1 && ticket.is_empty(), "{alike}: {code} {error}");
                assert!(
                    error.contains(&format!("looks like {of},")) && error.contains("--allow-look-alike"),
                    "{error}"
                );
            }
        }
        let (code, ticket, error) = enrol(data, "аnna", &["--allow-look-alike"]);
        assert!(code == 0 && ticket.len() == 24, "{error}");
        // Both are there now; each may have another ticket by a person's word only.
        assert_eq!(enrol(data, "Bert", &[]).0, 0);
        assert_eq!(enrol(data, "anna", &[]).0, 1);
        // Who is gone is in nobody's way.
        assert!(command("revoke", data, "Carmen").status.success());
        assert_eq!(enrol(data, "Carrnen", &[]).0, 0);
        drop(served);
    }
}

#[test]
fn v4_group_names_keep_the_same_rules() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    let mut olga = served.enrol(data, "olga", 9);
    let say = |olga: &mut Terminal, group: &str| {
        olga.ask(&format!("GROUP\nIdentifier:olga\nGroup:{group}\nMembers:Create alice\n"))
    };
    assert!(say(&mut olga, "olga/family").contains("Status:200"));
    for alike in ["olga/fаmily", "olga/familу", "olga/Ku\u{308}che"] {
        assert!(say(&mut olga, alike).contains("Status:403"), "{alike}");
    }
    // It is its own name still, and a terminal's that looks like it is refused as well.
    assert!(say(&mut olga, "olga/family").contains("Status:200"));
    assert_eq!(enrol(data, "olga/fаmily", &[]).0, 1);
    drop((olga, served));
    // By setting.
    let served = Served::start_with(data, &["--allow-look-alike"]);
    let mut olga = served.terminal("olga", 9);
    assert!(say(&mut olga, "olga/fаmily").contains("Status:200"));
}
