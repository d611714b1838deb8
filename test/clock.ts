import type { Test } from 'tap';

/** A clock that the test moves forward, in ms, so that no test has to be quick or to wait. The teardown resets it. */
export function clock(t: Test): (ms: number) => void {
  const { now } = Date;
  let aheadMs = 0;
  Date.now = () => now() + aheadMs;
  t.teardown(() => {
    Date.now = now;
  });
  return (ms) => {
    aheadMs += ms;
  };
}
