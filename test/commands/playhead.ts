import { execFile } from 'node:child_process';

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command of the command line on a data folder, and resolves when it has ended. */
export function playhead(dataDir: string, ...args: string[]): Promise<Ended> {
  const env = { PATH: process.env.PATH, PLAYHEAD_DATA_DIR: dataDir };
  return new Promise((resolve) => {
    execFile(process.execPath, ['src/cli.ts', ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}
