import type { ChildProcess } from 'node:child_process';
import { until } from './until.ts';

/** The exit code of a process once it has ended, or null if a signal ended it. @throws if it still runs after the limit */
export async function ended(child: ChildProcess, limitMs?: number): Promise<number | null> {
  await until(() => child.exitCode !== null || child.signalCode !== null, limitMs);
  return child.exitCode;
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
