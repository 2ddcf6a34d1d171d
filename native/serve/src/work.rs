//! Computing on a bounded number of threads behind a bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// The threads that compute, and the queue in front of them.
///
/// Sockets are served by a thread of their own, so that health and metrics answer under any load.
#[derive(Debug)]
pub struct Workers {
    threads: Arc<Semaphore>,
    count: usize,
    queue: usize,
    admitted: AtomicUsize,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// A request's place, from its admission to its answer. Dropping it, as happens when the client goes away,
/// frees the place.
pub struct Place<'a>(&'a Workers);

impl Workers {
    /// `count` threads, and `queue` requests that may wait.
    pub fn new(count: usize, queue: usize) -> Self {
        Self { threads: Arc::new(Semaphore::new(count)), count, queue, admitted: AtomicUsize::new(0) }
    }

    /// How many threads compute.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many requests may wait.
    pub fn queue(&self) -> usize {
        self.queue
    }

    /// How many requests compute or wait.
    pub fn admitted(&self) -> usize {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Takes a place for one request.
    pub fn admit(&self) -> Result<Place<'_>, Full> {
        let limit = self.count + self.queue;
        self.admitted
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < limit).then_some(now + 1))
            .map(|_| Place(self))
            .map_err(|_| Full)
    }
}

impl Place<'_> {
    /// Runs `work` on a computing thread as soon as one is free, in the order of asking.
    ///
    /// Work that has begun is finished even when nobody waits for it any more, and occupies its thread until
    /// then: the permit goes with it.
    ///
    /// # Errors
    /// The message of a panic in `work`.
    pub async fn compute<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, String> {
        let permit = Arc::clone(&self.0.threads).acquire_owned().await.map_err(|error| error.to_string())?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.map_err(|error| error.to_string())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn admits_as_many_as_compute_and_wait() {
        let workers = Workers::new(1, 2);
        let places: Vec<_> = (0..3).map(|_| workers.admit().ok().unwrap()).collect();
        assert_eq!(workers.admit().err(), Some(Full));
        drop(places);
        assert_eq!(workers.admitted(), 0);
        assert!(workers.admit().is_ok());
    }

    #[tokio::test]
    async fn abandoned_work_keeps_its_thread_until_it_is_done() {
        let workers = Workers::new(1, 1);
        let (finish, finished) = mpsc::channel::<()>();
        {
            let place = workers.admit().ok().unwrap();
            let running = place.compute(move || finished.recv());
            assert!(tokio::time::timeout(std::time::Duration::from_millis(20), running).await.is_err());
        }
        assert_eq!(workers.admitted(), 0);
        assert_eq!(workers.threads.available_permits(), 0);
        finish.send(()).unwrap();
        let place = workers.admit().ok().unwrap();
        assert_eq!(place.compute(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_the_thread() {
        let workers = Workers::new(1, 0);
        let place = workers.admit().ok().unwrap();
        assert!(place.compute(|| panic!("broken")).await.is_err());
        assert_eq!(place.compute(|| 7).await, Ok(7));
    }
}
