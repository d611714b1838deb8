const everyMs = 200;

/** One line about work under way, on a terminal only. Each call of `show` replaces the line. */
export class Progress {
  readonly #isTerminal = process.stderr.isTTY === true;
  #shownAt = 0;

  show(line: string): void {
    const now = performance.now();
    if (!this.#isTerminal || now - this.#shownAt < everyMs) return;
    this.#shownAt = now;
    process.stderr.write(`\r\x1b[K${line.slice(0, process.stderr.columns - 1)}`);
  }

  /** Removes the line. */
  end(): void {
    if (this.#shownAt > 0) process.stderr.write('\r\x1b[K');
  }
}

/** `1.5 GB`, in the units of the settings: 1 KB is 1,024 bytes. */
export function sizeText(bytes: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
