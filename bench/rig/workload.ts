/** Requests for ranges of one length, or for whole files. */
export interface Workload {
  name: string;
  /** Bytes of each range. 0 is the whole file. */
  length: number;
}

/** One request. */
export interface RangeRequest {
  path: string;
  /** Default: the whole file. */
  range?: { first: number; last: number };
}

const MiB = 1024 ** 2;

/** Ranges at random positions of random files. */
export function anywhere({ length }: Workload, paths: string[], size: number): RangeRequest[] {
  return Array.from({ length: 20_000 }, () => {
    const path = paths[Math.floor(Math.random() * paths.length)]!;
    return rangeRequest(path, Math.floor(Math.random() * (size - length + 1)), length);
  });
}

/**
 * One range for each megabyte of each file, at a random position in it. The order is the even megabytes of all
 * files, then the odd ones, so that neighbours are as far apart as possible. A cache of recently used blocks that
 * holds less than a third of the files never has a hit, however often the order is repeated.
 */
export function sweep({ length }: Workload, paths: string[], size: number): RangeRequest[] {
  if (length === 0) return paths.map((path) => ({ path }));
  const indexes = Array.from({ length: size / MiB }, (_, index) => index);
  const order = [
    ...indexes.filter((index) => index % 2 === 0),
    ...indexes.filter((index) => index % 2 === 1),
  ];
  return order.flatMap((index) =>
    paths.map((path) =>
      rangeRequest(path, Math.min(Math.floor((index + Math.random()) * MiB), size - length), length),
    ),
  );
}

function rangeRequest(path: string, first: number, length: number): RangeRequest {
  return length === 0 ? { path } : { path, range: { first, last: first + length - 1 } };
}
