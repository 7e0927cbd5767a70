//! Script clusters, promotion, confirmation: the article's server.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::site::{RELEASE, Site, Web, sh};

/// A site whose source is an archive of the given name; `content` tells one archive from the next.
fn site(archive: &str, content: &str) -> Site {
    let site = Site::new("kind = script\nsource = /nowhere.zip");
    site.configure("", &format!("kind = script\nsource = {}", site.at(archive).display()));
    pack(&site, archive, content);
    site
}

pub fn pack(site: &Site, archive: &str, content: &str) {
    let pack = match archive.rsplit('.').next().unwrap() {
        "zip" => "zip -qr",
        "gz" | "tgz" => "tar czf",
        _ => "tar --zstd -cf",
    };
    let script = format!(
        "mkdir -p src/R; printf '#!/bin/sh\\n' > src/R/install_cluster; echo '{content}' > src/R/patch; rm -f {archive}; \
         cd src; {pack} ../{archive} R"
    );
    sh(site.dir.path(), &script);
}

fn promoted(site: &Site) {
    fs::write(site.tree().join("host_type"), "web* development /var/lib/patch\ndb* production /var/lib/patch\n")
        .unwrap();
    site.ok(&["sign"]);
}

#[test]
fn a_cluster_is_published_once_and_again_when_it_has_changed() {
    for archive in ["c.zip", "c.tar.gz", "c.tgz", "c.tar.zst"] {
        let site = site(archive, "one");
        assert!(site.ok(&["pull"]).starts_with("debian-12/amd64: published "), "{archive}");
        site.is_whole().unwrap();
        let first = site.pointer("development").unwrap();
        let said = site.ok(&["pull", RELEASE]);
        assert_eq!(said, format!("{RELEASE}: unchanged since {}", first.id));
        assert_eq!(site.pointer("development").unwrap(), first);
        pack(&site, archive, "two");
        assert!(site.ok(&["pull"]).ends_with("sequence 2"));
        site.is_whole().unwrap();
        assert_eq!(site.pool().len(), 2);
        assert_eq!(site.pointer("production"), None);
        assert!(site.fails(1, &["verify"]).contains("host_type"));
        promoted(&site);
        site.ok(&["verify"]);
    }
}

#[test]
fn minisign_itself_accepts_everything_that_is_signed() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    pack(&site, "c.zip", "two");
    site.ok(&["pull"]);
    promoted(&site);
    site.ok(&["promote", RELEASE, "--confirmed-by", "web01", "--reason", "seen"]);
    let id = site.pointer("development").unwrap().id;
    for name in ["development", "production", &format!("clusters/{id}/cluster.json")] {
        assert!(site.minisign_accepts(&format!("{RELEASE}/{name}")), "{name}");
    }
    assert!(site.minisign_accepts("host_type"));
    fs::write(site.tree().join(RELEASE).join("production"), "x\n").unwrap();
    assert!(!site.minisign_accepts(&format!("{RELEASE}/production")));
    assert!(site.fails(1, &["verify"]).contains("does not fit"));
}

#[test]
fn a_cluster_comes_by_http_as_well_and_a_server_that_is_away_is_69() {
    let site = site("c.zip", "one");
    let web = Web::serve(site.dir.path());
    site.configure("", &format!("kind = script\nsource = {}/c.zip", web.url));
    assert!(site.ok(&["pull"]).contains("published"));
    site.is_whole().unwrap();
    site.configure("", &format!("kind = script\nsource = {}/missing.zip", web.url));
    assert!(site.fails(1, &["pull"]).contains("no such file on the server"));
    site.configure("", "kind = script\nsource = http://127.0.0.1:1/c.zip");
    assert!(site.fails(69, &["pull"]).contains("cannot reach http://127.0.0.1:1/c.zip"));
    site.is_whole().unwrap();
}

#[test]
fn an_archive_that_hosts_would_refuse_is_not_published() {
    let site = site("c.tar.gz", "one");
    site.ok(&["pull"]);
    let before = site.pointer("development");
    for (script, word) in [
        ("cd src; ln -sf /etc/passwd R/link; tar czf ../c.tar.gz R; rm R/link", "symbolic link"),
        ("cd src; tar czPf ../c.tar.gz --transform 's,^R/patch,../patch,' R", ".. in its name"),
        ("cd src; tar czf ../c.tar.gz R/patch", "no install_cluster"),
        ("head -c 100 c.tar.gz > cut; mv cut c.tar.gz", "refusing"),
        ("cd src; tar cz R > ../whole; cd ..; head -c -8 whole > c.tar.gz; printf 00000000 >> c.tar.gz", "checksum"),
        ("head -c -9 whole > c.tar.gz", "refusing"),
        ("(cat whole; echo more) > c.tar.gz", "refusing"),
        (": > c.tar.gz", "refusing"),
    ] {
        sh(site.dir.path(), script);
        let words = site.fails(1, &["pull"]);
        assert!(words.contains(word), "{script}: {words}");
        assert_eq!(site.pointer("development"), before);
        site.is_whole().unwrap();
        assert_eq!(site.pool().len(), 1, "{script}");
    }
}

#[test]
fn production_gets_what_a_development_host_has_confirmed() {
    let site = site("c.zip", "one");
    assert!(site.fails(1, &["promote", RELEASE]).contains("development has no cluster"));
    site.ok(&["pull"]);
    promoted(&site);
    let development = site.pointer("development").unwrap();
    assert!(site.fails(1, &["promote", RELEASE]).contains("no development host has confirmed it"));
    // A production host's word is not enough.
    site.ok(&["confirm", "--host", "db01", "--cluster", &development.id]);
    site.fails(1, &["promote", RELEASE]);
    site.ok(&["confirm", "--host", "web01", "--cluster", &development.id]);
    site.ok(&["confirm", "--host", "web01", "--cluster", &development.id]);
    assert!(site.ok(&["-n", "promote", RELEASE]).contains("would promote"));
    assert_eq!(site.pointer("production"), None);
    assert!(site.ok(&["promote", RELEASE]).contains("promoted"));
    let history = fs::read_to_string(site.tree().join("history")).unwrap();
    assert!(history.trim_end().ends_with("confirmed_by=\"web01\""), "{history}");
    assert_eq!(site.pointer("production").unwrap(), development);
    assert!(site.ok(&["promote", RELEASE]).contains("already"));
    site.is_whole().unwrap();
}

#[test]
fn a_person_may_vouch_for_a_cluster_and_it_is_written_down() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    site.fails(2, &["promote", RELEASE, "--confirmed-by", "web01"]);
    site.fails(2, &["promote", RELEASE, "--confirmed-by", "../web", "--reason", "x"]);
    site.ok(&["promote", RELEASE, "--confirmed-by", "web01", "--reason", "seen \"live\"\nsequence=99"]);
    let history = fs::read_to_string(site.tree().join("history")).unwrap();
    assert!(history.contains("action=promote") && history.contains("confirmed_by=\"web01\""), "{history}");
    pack(&site, "c.zip", "two");
    assert!(site.ok(&["pull"]).ends_with("sequence 2"));
}

#[test]
fn production_does_not_go_back_and_an_older_cluster_of_development_can_be_named() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    let first = site.pointer("development").unwrap().id;
    pack(&site, "c.zip", "two");
    site.ok(&["pull"]);
    let vouch = ["--confirmed-by", "web01", "--reason", "x"];
    site.ok(&[&["promote", RELEASE, "--cluster", &first], &vouch[..]].concat());
    assert_eq!(site.pointer("production").unwrap().id, first);
    site.ok(&[&["promote", RELEASE], &vouch[..]].concat());
    let words = site.fails(1, &[&["promote", RELEASE, "--cluster", &first], &vouch[..]].concat());
    assert!(words.contains("hosts refuse what is older"), "{words}");
}

#[test]
fn confirming_takes_no_liberties() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    promoted(&site);
    let id = site.pointer("development").unwrap().id;
    for (host, cluster, code) in [
        ("../../x", id.as_str(), 2),
        ("web01", "../x", 2),
        ("-rf", &id, 2),
        ("mail01", &id, 1),
        ("web01", "20200101T000000Z", 1),
    ] {
        site.fails(code, &["confirm", &format!("--host={host}"), "--cluster", cluster]);
    }
    let by_ssh = |text: &str| {
        let mut command = site.command(&["confirm", "--host", "web01"]);
        command.env("SSH_ORIGINAL_COMMAND", text).output().unwrap().status.code()
    };
    assert_eq!(by_ssh(&format!("{id}; rm -rf /")), Some(2));
    assert!(!site.tree().join("confirmed").exists());
    assert_eq!(by_ssh(&id), Some(0));
    assert!(site.tree().join("confirmed").join(&id).join("web01").exists());
    site.fails(2, &["confirm", "--host", "web01"]);
}

#[test]
fn a_damaged_pool_is_noticed_not_promoted_and_mended_by_the_next_pull() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    let pooled = site.pool().remove(0);
    fs::write(&pooled, "rotten").unwrap();
    assert!(site.is_whole().is_err());
    assert!(site.fails(1, &["verify"]).contains("damaged"));
    assert!(site.fails(1, &["promote", RELEASE, "--confirmed-by", "w", "--reason", "x"]).contains("damaged"));
    assert!(site.ok(&["pull"]).contains("unchanged"));
    site.is_whole().unwrap();
    fs::remove_file(&pooled).unwrap();
    site.ok(&["pull"]);
    site.is_whole().unwrap();
}

#[test]
fn sequence_numbers_grow_though_clusters_are_lost() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    sh(&site.tree(), "rm -r debian-12 pool");
    assert!(site.ok(&["pull"]).ends_with("sequence 2"));
    sh(&site.tree(), "rm history; rm -r debian-12/amd64/clusters");
    let done = site.run(&["pull"]);
    assert!(String::from_utf8(done.stdout).unwrap().trim().ends_with("sequence 3"));
    site.is_whole().unwrap();
}

#[test]
fn old_clusters_go_and_what_a_pointer_names_stays() {
    let site = site("c.zip", "0");
    let section = format!("kind = script\nsource = {}", site.at("c.zip").display());
    site.configure("keep = 1", &section);
    site.ok(&["pull"]);
    site.ok(&["promote", RELEASE, "--confirmed-by", "w", "--reason", "x"]);
    let kept = site.pointer("production").unwrap().id;
    for content in ["1", "2", "3"] {
        pack(&site, "c.zip", content);
        site.ok(&["pull"]);
        site.is_whole().unwrap();
    }
    // Production's, development's, and one more.
    assert_eq!(fs::read_dir(site.tree().join(RELEASE).join("clusters")).unwrap().count(), 3);
    assert_eq!(site.pool().len(), 3);
    assert!(site.tree().join(RELEASE).join("clusters").join(kept).exists());
}

#[test]
fn what_others_keep_in_the_tree_is_in_nobodys_way() {
    let site = site("c.zip", "one");
    sh(
        &site.tree(),
        "mkdir -p web/icons lost+found debian-12/amd64/clusters confirmed/x pool/sha256/ab/sub; chown -R 65534 web; \
         touch index.html .hidden debian-12/amd64/clusters/.nfs01 confirmed/notes pool/sha256/README pool/sha256/ab/mine",
    );
    let done = site.run(&["pull"]);
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    sh(&site.tree(), "test -e web/icons; test -e pool/sha256/ab/mine; test ! -e confirmed/x; test -e confirmed/notes");
    site.is_whole().unwrap();
}

#[test]
fn links_and_pipes_in_the_tree_are_not_followed() {
    for (script, word) in [
        ("rm -r pool; mkdir ../elsewhere; ln -s ../elsewhere pool", "symbolic link"),
        ("rm debian-12/amd64/development; mkfifo debian-12/amd64/development", "not a regular file"),
        ("rm debian-12/amd64/development; ln -s ../../history debian-12/amd64/development", "symbolic link"),
        ("rm .lock; ln -s /etc/passwd .lock", ".lock"),
        ("chmod 777 debian-12", "chmod go-w"),
    ] {
        let site = site("c.zip", "one");
        site.ok(&["pull"]);
        pack(&site, "c.zip", "two");
        sh(&site.tree(), script);
        let words = site.fails(1, &["pull"]);
        assert!(words.contains(word), "{script}: {words}");
    }
}

#[test]
fn a_source_that_does_not_change_is_published_again_before_it_expires() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    let section = format!("kind = script\nsource = {}", site.at("c.zip").display());
    site.configure("expires = 365d", &section);
    assert!(site.ok(&["pull"]).contains("unchanged but expiring, published again"));
    assert_eq!(site.pool().len(), 1);
    assert!(site.ok(&["pull"]).contains("unchanged since"));
}

#[test]
fn a_full_disk_leaves_the_tree_as_it_was() {
    let site = site("c.zip", "one");
    sh(site.dir.path(), "mount -t tmpfs -o size=256k,mode=755 tmpfs tree");
    site.ok(&["pull"]);
    let before = site.pointer("development");
    sh(site.dir.path(), "head -c 1000000 /dev/urandom > src/R/big; cd src; zip -qr ../c.zip R");
    let words = site.fails(1, &["pull"]);
    let state = (site.pointer("development"), site.is_whole(), site.pool().len());
    sh(site.dir.path(), "umount tree");
    assert!(words.contains("No space left"), "{words}");
    assert_eq!(state, (before, Ok(()), 1));
}

#[test]
fn a_tree_or_key_that_is_missing_or_loose_is_refused_with_the_way_out() {
    let site = site("c.zip", "one");
    fs::set_permissions(site.at("patch.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(site.fails(1, &["pull"]).contains("chmod 600"));
    fs::remove_file(site.at("patch.key")).unwrap();
    assert!(site.fails(2, &["pull"]).contains("keygen"));
    fs::remove_dir(site.tree()).unwrap();
    assert!(site.fails(2, &["pull"]).contains("mount it"));
    fs::remove_file(site.at("patch.pub")).unwrap();
    site.ok(&["keygen"]);
    assert!(site.fails(1, &["keygen"]).contains("already"));
}

#[test]
fn one_release_that_fails_does_not_stop_the_others() {
    let site = site("c.zip", "one");
    let section = format!(
        "kind = script\nsource = /nowhere/c.zip\n[cluster rocky-9/amd64]\nkind = script\nsource = {}",
        site.at("c.zip").display()
    );
    site.configure("", &section);
    let done = site.run(&["pull"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stdout).unwrap().starts_with("rocky-9/amd64: published"));
    let ids = [RELEASE, "rocky-9/amd64"].map(|release| site.tree().join(release).join("development").exists());
    assert_eq!(ids, [false, true]);
}

#[test]
fn two_do_not_work_on_one_tree() {
    let site = site("c.zip", "one");
    let lock = patchflag::sys::lockfile::try_take(&site.tree().join(".lock")).unwrap().unwrap();
    assert!(site.fails(75, &["pull"]).contains("try later"));
    drop(lock);
    site.ok(&["pull"]);
}

#[test]
fn the_list_of_hosts_is_signed_only_when_it_can_be_read() {
    let site = site("c.zip", "one");
    fs::write(site.at("new"), "web01 development /p\nweb02 staging /p\n").unwrap();
    let from = site.at("new").display().to_string();
    assert!(site.fails(1, &["sign", "--from", &from]).contains(":2: "));
    assert!(!site.tree().join("host_type").exists());
    fs::write(site.at("new"), "web01 development /p\n").unwrap();
    assert_eq!(site.ok(&["sign", "--from", &from]), "host_type: signed 1 lines");
    site.ok(&["verify"]);
}

#[test]
fn the_list_for_programs_names_pointers_and_confirmations() {
    let site = site("c.zip", "one");
    site.ok(&["pull"]);
    promoted(&site);
    let id = site.pointer("development").unwrap().id;
    site.ok(&["confirm", "--host", "web01", "--cluster", &id]);
    let list: serde_json::Value = serde_json::from_str(&site.ok(&["list", "--json"])).unwrap();
    assert_eq!(list[0]["development"], id.as_str());
    assert_eq!(list[0]["clusters"][0]["confirmed"][0]["host"], "web01");
    assert!(site.ok(&["list"]).contains("confirmed by web01"));
}

#[test]
fn a_dry_run_publishes_nothing() {
    let site = site("c.zip", "one");
    assert!(site.ok(&["-n", "pull"]).contains("would publish"));
    assert_eq!((site.pointer("development"), site.pool().len()), (None, 0));
    assert!(site.ok(&["--now", "2026-11-21T02:00:07Z", "pull"]).contains("would publish 20261121T020007Z"));
    assert_eq!(site.pointer("development"), None);
}

#[test]
fn an_id_is_never_used_again_though_its_cluster_was_removed_within_the_second() {
    let site = site("c.zip", "0");
    let section = format!("kind = script\nsource = {}", site.at("c.zip").display());
    site.configure("keep = 0", &section);
    // A history from a clock that went wrong counts as well.
    let later = "time=2036-01-01T00:00:00Z action=remove release=rocky-9/amd64 cluster=20360101T000000Z sequence=7\n";
    let mut ids = Vec::new();
    for content in 1..6 {
        if content == 4 {
            let history = fs::read_to_string(site.tree().join("history")).unwrap();
            fs::write(site.tree().join("history"), history + later).unwrap();
        }
        pack(&site, "c.zip", &content.to_string());
        site.ok(&["pull"]);
        ids.push(site.pointer("development").unwrap().id);
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(ids[3..], ["20360101T000001Z", "20360101T000002Z"]);
    assert_eq!(site.pointer("development").unwrap().sequence, 5);
}

#[test]
fn an_empty_tree_is_listed_in_a_sentence_and_for_programs_as_an_empty_list() {
    let site = site("c.zip", "one");
    assert!(site.ok(&["list"]).starts_with("nothing is published yet; pull-cluster pull"));
    assert_eq!(site.ok(&["list", "--json"]), "[]");
}

#[test]
fn a_missing_list_of_hosts_is_one_finding_and_the_rest_is_verified() {
    let site = site("c.zip", "one");
    let words = site.fails(1, &["verify"]);
    assert!(words.contains("host_type: it is not there") && words.lines().count() == 1, "{words}");
    site.ok(&["pull"]);
    fs::write(site.pool().remove(0), "rotten").unwrap();
    let words = site.fails(1, &["verify"]);
    assert!(words.contains("host_type: it is not there") && words.contains("it is damaged"), "{words}");
    // What cannot even be looked at is a finding as well.
    fs::write(site.tree().join("host_type"), "web01 development /p\n").unwrap();
    fs::set_permissions(site.tree().join("host_type"), fs::Permissions::from_mode(0o666)).unwrap();
    let clusters = site.tree().join(RELEASE).join("clusters");
    fs::set_permissions(&clusters, fs::Permissions::from_mode(0o777)).unwrap();
    let words = site.fails(1, &["verify"]);
    assert!(words.contains("host_type: mode 0666") && words.contains("clusters: mode 0777"), "{words}");
}
