#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn files(leases: &str, hosts: &str) -> (tempfile::TempDir, LeaseFiles) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("leases"), leases).unwrap();
    std::fs::write(path("hosts"), hosts).unwrap();
    let files = LeaseFiles::new(&path("leases"), &path("hosts"));
    (folder, files)
}

fn later() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 1_000
}

fn told(files: &mut LeaseFiles, identifier: &str) -> Option<(String, Option<u16>)> {
    files.lease_of(identifier).map(|lease| (lease.address.to_string(), lease.port))
}

fn is(address: &str, port: Option<u16>) -> Option<(String, Option<u16>)> {
    Some((address.to_owned(), port))
}

#[test]
fn v2_dnsmasq_by_host_name_and_by_mac() {
    let later = later();
    let leases = format!(
        "{later} 02:00:00:00:00:01 192.168.1.5 Recorder 01:02\n0 02:00:00:00:00:02 192.168.1.6 * *\n\
         1 02:00:00:00:00:03 192.168.1.7 gone *\n{} 02:00:00:00:00:04 192.168.1.8 mover *\n{later} 02:00:00:00:00:04 192.168.1.9 mover *\n\
         duid 00:01:00:01\n{later} 1 2001:db8::5 six 00:02\nnonsense\n",
        later - 500
    );
    let hosts = "# who is what\n\nliving room\trecorder.\t7800\nbedroom\t02:00:00:00:00:02\nold\tgone\nmover\tMOVER\nsix\tsix\t1\nbad\thost\tport\nworse\n";
    let (_folder, mut files) = files(&leases, hosts);
    assert_eq!(told(&mut files, "living room"), is("192.168.1.5", Some(7800)));
    assert_eq!(told(&mut files, "bedroom"), is("192.168.1.6", None), "a lease without end");
    assert_eq!(told(&mut files, "old"), None, "one that has ended");
    assert_eq!(told(&mut files, "mover"), is("192.168.1.9", None), "the youngest");
    assert_eq!(told(&mut files, "six"), is("2001:db8::5", Some(1)));
    for unknown in ["bad", "worse", "# who is what", "nobody", "*"] {
        assert_eq!(told(&mut files, unknown), None, "{unknown}");
    }
}

#[test]
fn v2_kea_s_last_line_of_an_address_counts() {
    let later = later();
    let header = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id";
    let line = |address: &str, mac: &str, expire: u64, name: &str, state: u8| {
        format!("{address},{mac},,4000,{expire},1,0,0,{name},{state},,0\n")
    };
    let leases = [
        format!("{header}\n"),
        line("192.168.1.5", "02:00:00:00:00:01", later, "recorder.", 0),
        line("192.168.1.6", "02:00:00:00:00:02", later, "tv", 0),
        line("192.168.1.6", "02:00:00:00:00:03", later, "other", 0),
        line("192.168.1.7", "02:00:00:00:00:04", later, "back", 0),
        line("192.168.1.7", "02:00:00:00:00:04", 0, "back", 0),
        line("192.168.1.8", "02:00:00:00:00:05", later, "declined", 1),
    ];
    let hosts = "a\trecorder\nb\ttv\nc\t02:00:00:00:00:03\nd\tback\ne\tdeclined\n";
    let (_folder, mut files) = files(&leases.concat(), hosts);
    let all = ["a", "b", "c", "d", "e"].map(|identifier| told(&mut files, identifier));
    assert_eq!(all, [is("192.168.1.5", None), None, is("192.168.1.6", None), None, None]);
    // DHCPv6 has other columns.
    let six = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state";
    let six =
        format!("{six}\n2001:db8::5,00:01,4000,{later},1,3000,0,1,128,0,0,recorder,02:00:00:00:00:01,0\n");
    let (_folder, mut files) = super::tests::files(&six, hosts);
    assert_eq!(told(&mut files, "a"), is("2001:db8::5", None));
}

#[test]
fn v2_changed_and_missing_files_count_at_once() {
    let later = later();
    let (folder, mut files) = files(&format!("{later} 02:00:00:00:00:01 192.168.1.5 tv *\n"), "a\ttv\n");
    assert_eq!(told(&mut files, "a"), is("192.168.1.5", None));
    let path = folder.path().join("leases");
    std::fs::write(&path, format!("{later} 02:00:00:00:00:01 192.168.1.6 tv *\n")).unwrap();
    assert_eq!(told(&mut files, "a"), is("192.168.1.6", None));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told(&mut files, "a"), None);
    std::fs::write(&path, [0xff; 100]).unwrap();
    assert_eq!(told(&mut files, "a"), None);
}
