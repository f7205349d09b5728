// A sleep that can be cut short: what is kept current waits with it between two looks.

/** `wait(ms, signal)` ends after that time, when `now()` is called, or when `signal` is aborted. */
export function wakeable() {
  let wake = () => {};
  return {
    now: () => wake(),
    wait: (ms, signal) =>
      new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, ms);
        signal.addEventListener("abort", resolve, { once: true });
      }),
  };
}
