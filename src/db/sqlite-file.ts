import { statSync } from 'node:fs';
import { Problem } from '../errors.ts';

/** What SQLite keeps beside a database in WAL mode: sqlite.org/walformat.html. */
const endings = ['', '-wal', '-shm'];

/**
 * The files of a database that is open. A file that is removed or replaced stays open, and SQLite goes on to write to
 * it. What is committed there is lost with the process, and no other process sees it.
 */
export class SqliteFile {
  readonly #path: string;
  readonly #identities: (string | undefined)[];

  /** Call it right after the database was opened and read, which creates the files. */
  constructor(path: string) {
    this.#path = path;
    this.#identities = this.#look();
  }

  /** @throws Problem `database_unavailable` if a file that is open is not the one at its path any more */
  requireInPlace(): void {
    const there = this.#look();
    const index = this.#identities.findIndex((identity, index) => identity !== there[index]);
    if (index === -1) return;
    const sentence = `${this.#path}${endings[index]} was removed or replaced while this process had it open. Put it back, or restart.`;
    throw new Problem('database_unavailable', undefined, { cause: new Error(sentence) });
  }

  #look(): (string | undefined)[] {
    return endings.map((ending) => {
      const stats = statSync(this.#path + ending, { throwIfNoEntry: false });
      return stats && `${stats.dev}:${stats.ino}`;
    });
  }
}
