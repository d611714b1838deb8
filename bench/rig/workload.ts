/** What is asked of a server: ranges of `length` bytes; whole files where it is 0. */
export interface Workload {
  name: string;
  length: number;
}

/** One request; the whole file where there is no range. */
export interface Ask {
  path: string;
  range?: { first: number; last: number };
}

const MiB = 1024 ** 2;

/** Ranges at random places of random files. */
export function anywhere({ length }: Workload, paths: string[], size: number): Ask[] {
  return Array.from({ length: 20_000 }, () => {
    const path = paths[Math.floor(Math.random() * paths.length)]!;
    return ask(path, Math.floor(Math.random() * (size - length + 1)), length);
  });
}

/**
 * Ranges that begin anywhere in a megabyte, one for each megabyte of each file, in an order in which that and
 * the one behind it come as far apart as they can: the even ones of all files, then the odd ones. However
 * often this is repeated, a cache that keeps what was used last has none of it if it holds less than a third.
 */
export function sweep({ length }: Workload, paths: string[], size: number): Ask[] {
  if (length === 0) return paths.map((path) => ({ path }));
  const indexes = Array.from({ length: size / MiB }, (_, index) => index);
  const order = [
    ...indexes.filter((index) => index % 2 === 0),
    ...indexes.filter((index) => index % 2 === 1),
  ];
  return order.flatMap((index) =>
    paths.map((path) =>
      ask(path, Math.min(Math.floor((index + Math.random()) * MiB), size - length), length),
    ),
  );
}

function ask(path: string, first: number, length: number): Ask {
  return length === 0 ? { path } : { path, range: { first, last: first + length - 1 } };
}
