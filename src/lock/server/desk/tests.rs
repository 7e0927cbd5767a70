use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::lock::book::terms::Terms as LockTerms;
use crate::lock::name::Note;

struct Scene {
    runtime: tokio::runtime::Runtime,
    desk: Desk,
    told: Arc<Mutex<Vec<String>>>,
    clerk: Option<std::thread::JoinHandle<AnyResult<()>>>,
}

impl Scene {
    fn new(dir: &Path, overdue: Option<Duration>) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let rules = Rules::new(Vec::new(), LockTerms { overdue, ..LockTerms::default() });
        let store = Store::open(&dir.join("store/locks.db")).unwrap();
        let hear: Told =
            Box::new(move |grants| tell.lock().unwrap().extend(grants.iter().map(|g| g.owner.to_string())));
        let (desk, clerk) = Desk::open(store, Terms { rules, keep_history: None }, hear).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { runtime, desk, told, clerk: Some(std::thread::spawn(move || clerk.work())) }
    }

    /// The clerk does nothing until the other end of this is gone.
    fn pause(&self, go: mpsc::Receiver<()>) {
        let wait = move |_: &mut Store| {
            let _ = go.recv();
        };
        self.desk.send(Job::Look(Box::new(wait))).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }

    fn end(mut self) {
        let Self { desk, clerk, .. } = &mut self;
        let (other, _) = mpsc::channel();
        desk.jobs = other;
        clerk.take().unwrap().join().unwrap().unwrap();
    }
}

fn ask(owner: &str) -> Ask {
    Ask {
        owner: Owner::new(owner).unwrap(),
        host_id: HostId::new("h").unwrap(),
        boot: Note::new("b").unwrap(),
        locks: LockName::new("web").unwrap().into(),
        reason: None,
        wait: Wait::No,
    }
}

#[test]
fn who_is_gone_before_its_turn_is_granted_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let scene = Scene::new(scratch.path(), None);
    // Something slow lies before it, so that its client is gone when its turn comes.
    let (stop, go) = mpsc::channel::<()>();
    scene.pause(go);
    scene.runtime.block_on(async {
        let asked = scene.desk.acquire(ask("web01"));
        assert!(tokio::time::timeout(Duration::from_millis(10), asked).await.is_err());
        drop(stop);
        let lock = scene.desk.look(LockName::new("web").unwrap()).await.unwrap();
        assert!(lock.holders.is_empty() && lock.queue.is_empty(), "{lock:?}");
    });
    scene.end();
}

#[test]
fn a_release_counts_though_nobody_waits_for_its_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let scene = Scene::new(scratch.path(), None);
    scene.runtime.block_on(async {
        let Reply::Granted(grants) = scene.desk.acquire(ask("web01")).await.unwrap() else { panic!("it is free") };
        let lock = LockName::new("web").unwrap();
        let (stop, go) = mpsc::channel::<()>();
        scene.pause(go);
        let released = scene.desk.release(lock.clone(), Owner::new("web01").unwrap(), Number(grants[0].number));
        assert!(tokio::time::timeout(Duration::from_millis(10), released).await.is_err());
        drop(stop);
        assert!(scene.desk.look(lock).await.unwrap().holders.is_empty());
    });
    scene.end();
}

#[test]
fn all_that_lie_there_go_to_disk_together() {
    let scratch = tempfile::tempdir().unwrap();
    let scene = Scene::new(scratch.path(), None);
    let (stop, go) = mpsc::channel::<()>();
    scene.pause(go);
    let before = scene.desk.counts().batches.load(Ordering::Relaxed);
    scene.runtime.block_on(async {
        let mut asked: Vec<_> = Vec::new();
        for n in 0..200 {
            let locks = LockName::new(&format!("l{n}")).unwrap().into();
            let desk = scene.desk.clone();
            let mut one = Box::pin(async move { desk.acquire(Ask { locks, ..ask("web01") }).await });
            assert!(futures_poll(&mut one).await.is_none());
            asked.push(one);
        }
        drop(stop);
        for one in asked {
            assert!(matches!(one.await, Ok(Reply::Granted(_))));
        }
    });
    assert_eq!(scene.desk.counts().batches.load(Ordering::Relaxed), before + 1);
    scene.end();
}

/// Moves a future on by one step.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn an_overdue_grant_is_told_of_once_and_also_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let scene = Scene::new(scratch.path(), Some(Duration::ZERO));
    scene.runtime.block_on(scene.desk.acquire(ask("web01"))).unwrap();
    assert!(scene.told.lock().unwrap().is_empty());
    scene.end();
    std::thread::sleep(Duration::from_millis(1100));
    for _ in 0..2 {
        let scene = Scene::new(scratch.path(), Some(Duration::ZERO));
        scene.runtime.block_on(scene.desk.look(LockName::new("web").unwrap())).unwrap();
        let told = Arc::clone(&scene.told);
        scene.end();
        // The first round comes with the first request; the second start has nothing new to tell.
        TOLD.lock().unwrap().extend(told.lock().unwrap().drain(..));
    }
    assert_eq!(*TOLD.lock().unwrap(), ["web01"]);
}

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
