//! init, container and enter: what is inside, what passes through, and that nothing is left.

mod common;

use common::{CARRIER, Namespace, Running, eventually};
use std::path::Path;
use std::process::Command;

fn exit_code(words: &[&str]) -> i32 {
    Command::new(CARRIER).args(words).status().unwrap().code().unwrap()
}

fn file(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("fairlead-carrier-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn init_passes_the_exit_status_on() {
    assert_eq!(exit_code(&["init", "--", "true"]), 0);
    assert_eq!(exit_code(&["init", "--", "sh", "-c", "exit 7"]), 7);
    assert_eq!(exit_code(&["init", "--", "sh", "-c", "kill -9 $$"]), 137);
    assert_eq!(exit_code(&["init", "--", "/no/such/program"]), 127);
    assert_eq!(exit_code(&["init", "--", "/etc/passwd"]), 126);
    assert_eq!(exit_code(&["init"]), 2);
    assert_eq!(exit_code(&["no-such-command"]), 2);
}

#[test]
fn init_forwards_signals() {
    for (signal, code) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10)] {
        let script = format!("trap 'exit 1{code:02}' {signal}; echo up; while :; do read line; done");
        let mut command = Command::new(CARRIER);
        command.args(["init", "--", "bash", "-c", &script]);
        let mut running = Running::start(command);
        assert_eq!(running.line(), "up\n");
        running.signal(signal);
        assert_eq!(running.child.wait().unwrap().code(), Some(100 + code), "{signal}");
    }
}

#[test]
fn init_reaps_orphans_and_the_kernel_ends_the_rest() {
    let Some(namespace) = Namespace::make() else { return };
    // A zombie keeps its /proc entry: the loop ends only when PID 1 has reaped the orphan.
    let script =
        "(sh -c 'echo $$; exec true' &) | { read pid; while [ -e /proc/$pid ]; do :; done; }; sleep 1000 & exit 3";
    let words = [
        "timeout",
        "120",
        "unshare",
        "--fork",
        "--pid",
        "--kill-child",
        "--mount-proc",
        CARRIER,
        "init",
        "--",
        "sh",
        "-c",
        script,
    ];
    let status = namespace.command(&words).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_container_sees_its_own_names_files_and_processes() {
    let Some(namespace) = Namespace::make() else { return };
    namespace.run(&["ip", "link", "add", "only-here", "type", "bridge"]);
    let (hosts, resolv) = (file("hosts", "1.2.3.4 web\n"), file("resolv", "nameserver 1.2.3.5\n"));
    let script = "hostname; cat /etc/hosts /etc/resolv.conf /tmp/deep/file; echo /proc/[0-9]*; ls /sys/class/net; \
                  touch /tmp/deep/file 2>/dev/null && echo writable; readlink /proc/self/fd/7; pwd; exit 5";
    let bind = format!("{hosts}:/tmp/deep/file:ro");
    let words = [
        CARRIER,
        "container",
        "--netns",
        "/proc/self/ns/net",
        "--hostname",
        "web-1",
        "--hosts",
        &hosts,
        "--resolv",
        &resolv,
        "--mount-tmpfs",
        "/tmp",
        "--bind",
        &bind,
        "--workdir",
        "/usr",
        "--",
        "sh",
        "-c",
        script,
    ];
    let shell = format!("exec 7</dev/zero; exec {}", words.map(|word| format!("'{word}'")).join(" "));
    let output = namespace.command(&["sh", "-c", &shell]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "web-1\n1.2.3.4 web\nnameserver 1.2.3.5\n1.2.3.4 web\n/proc/1 /proc/2\nlo\nonly-here\n/dev/zero\n/usr\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(5));
    std::fs::remove_file(hosts).unwrap();
    std::fs::remove_file(resolv).unwrap();
}

#[test]
fn default_actions_of_signals_work_inside() {
    let Some(namespace) = Namespace::make() else { return };
    let mut container = namespace.start(&[CARRIER, "container", "--", "sh", "-c", "echo up; exec sleep 1000"]);
    assert_eq!(container.line(), "up\n");
    container.signal("TERM");
    assert_eq!(container.child.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn nothing_is_left_when_the_container_or_its_parent_is_killed() {
    let Some(namespace) = Namespace::make() else { return };
    for parent_too in [false, true] {
        let container =
            [CARRIER, "container", "--", "sh", "-c", "readlink /proc/self/ns/pid; sleep 1000 & exec sleep 1000"];
        let mut running = if parent_too {
            // The shell stays as the container's parent and is what gets killed.
            let shell = format!("{}; true", container.map(|word| format!("'{word}'")).join(" "));
            namespace.start(&["sh", "-c", &shell])
        } else {
            namespace.start(&container)
        };
        let pid_namespace = running.line();
        assert!(lives_in(&pid_namespace));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        eventually("every process of the container is gone", || !lives_in(&pid_namespace));
    }
}

fn lives_in(pid_namespace: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes
        .map(|path| path.join("ns/pid"))
        .any(|path| std::fs::read_link(path).is_ok_and(|link| link == Path::new(pid_namespace.trim())))
}

#[test]
fn enter_is_inside_with_the_containers_environment() {
    let Some(namespace) = Namespace::make() else { return };
    let mut command =
        namespace.command(&[CARRIER, "container", "--hostname", "inside", "--", "sh", "-c", "echo up; exec cat"]);
    command.env("COLOUR", "blue");
    let mut container = Running::start(command);
    assert_eq!(container.line(), "up\n");
    // The handle of the container is a child of `enter`, which is what the test started.
    let children = format!("/proc/{0}/task/{0}/children", container.child.id());
    let handle = std::fs::read_to_string(children).unwrap().trim().to_string();
    let inner = std::fs::read_to_string(format!("/proc/{handle}/task/{handle}/children")).unwrap().trim().to_string();
    for pid in [&handle, &inner] {
        let words =
            ["enter", "--pid", pid, "--", "sh", "-c", "hostname; echo $COLOUR $OTHER; [ -e /proc/1/ns ]; cat; exit 9"];
        let mut command = Command::new(CARRIER);
        command.args(words).env("OTHER", "lost");
        let output = common::feed(command, "said\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "inside\nblue\nsaid\n", "{output:?}");
        assert_eq!(output.status.code(), Some(9));
    }
    let gone = Command::new(CARRIER).args(["enter", "--pid", "999999999", "--", "true"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("is the container running?"));
}
