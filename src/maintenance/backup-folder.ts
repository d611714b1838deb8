import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileStore } from '../origins/file/file.ts';
import { makeFolder } from '../settings/folders.ts';

/** The file `backup.json`. It is written last: a backup without it is not whole. */
export interface Manifest {
  format: 1;
  /** The version of Playhead that wrote the backup. */
  version: string;
  /** The instant before the database was copied. */
  createdAt: string;
  /** Names the database that the backup is of. It stays the same through restores and moves. */
  source: string;
  database: { file: string; size: number; sha256: string };
  /** Recordings whose audio is in the backup, and the bytes of that audio. */
  recordings: number;
  bytes: number;
  /** Recordings whose audio was lost or damaged before the backup. */
  lost: number;
}

const manifestName = 'backup.json';
const audioName = 'recordings';
const databasePattern = /^database-[0-9a-f]{16}\.db(-wal|-shm|-journal)?$/;
const keyPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.part)?$/;
const keyFolderPattern = /^[0-9a-f]{2}$/;

/**
 * A folder with a backup: `backup.json`, one database, and the audio under the keys of the store. A new backup into
 * the same folder adds a database and audio, and takes the place of the old one when `backup.json` is replaced. Only
 * then what belongs to the old one alone is removed.
 */
export class BackupFolder {
  readonly path: string;
  readonly audio: FileStore;

  constructor(path: string) {
    this.path = path;
    this.audio = new FileStore({ root: join(path, audioName) });
  }

  /** @throws Error if the folder has files that no backup has written */
  async create(): Promise<void> {
    await makeFolder(this.path);
    const foreign = (await readdir(this.path)).find((name) => !isOurs(name));
    if (foreign === undefined) return;
    throw new Error(`${this.path} has files of something else, such as ${foreign}: name an empty folder.`);
  }

  /** @returns undefined if the folder has no whole backup. @throws Error if a later version wrote it */
  async manifest(): Promise<Manifest | undefined> {
    const path = join(this.path, manifestName);
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const manifest = parse(text);
    if (manifest?.format === 1) return manifest;
    throw new Error(
      `${path} is not one that this version can read: use the version that wrote it, or a later one.`,
    );
  }

  /** A path for the database of a new backup. */
  newDatabase(): string {
    return join(this.path, `database-${randomBytes(8).toString('hex')}.db`);
  }

  pathOf({ database }: Manifest): string {
    return join(this.path, database.file);
  }

  /** @throws Error if the database is not the one that the manifest describes */
  async requireDatabase(manifest: Manifest): Promise<void> {
    const found = await describeFile(this.pathOf(manifest)).catch(() => undefined);
    if (found?.sha256 === manifest.database.sha256) return;
    throw new Error(`${this.pathOf(manifest)} is damaged or missing: this backup cannot be restored.`);
  }

  /** Makes the new backup the backup of this folder, in one step. */
  async commit(manifest: Manifest): Promise<void> {
    const path = join(this.path, manifestName);
    const file = await open(`${path}.part`, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
    const folder = await open(this.path);
    await folder.sync().finally(() => folder.close());
  }

  /**
   * Removes databases and audio that are not of this backup: those of earlier backups, and of backups that were
   * interrupted. Removes nothing whose name a backup does not give.
   *
   * @param keep which of these keys belong to the backup
   */
  async removeOthers({ database }: Manifest, keep: (keys: string[]) => Promise<Set<string>>): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (databasePattern.test(name) && !name.startsWith(database.file)) await rm(join(this.path, name));
    }
    for (const folder of await readdir(join(this.path, audioName)).catch(() => [])) {
      if (!keyFolderPattern.test(folder)) continue;
      const names = await readdir(join(this.path, audioName, folder));
      const keys = names.filter((name) => keyPattern.test(name)).map((name) => `${folder}/${name}`);
      const kept = await keep(keys);
      for (const key of keys) if (!kept.has(key)) await rm(join(this.path, audioName, key), { force: true });
    }
  }
}

/** Size and SHA-256 of a file. */
export async function describeFile(path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return { size: (await stat(path)).size, sha256: hash.digest('hex') };
}

function isOurs(name: string): boolean {
  return [manifestName, `${manifestName}.part`, audioName].includes(name) || databasePattern.test(name);
}

function parse(text: string): Manifest | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
