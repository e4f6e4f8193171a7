/** File systems for a test, mounted as root, and unmounted whatever happens. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const run = (command: string, ...words: readonly string[]): string =>
  execFileSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** A folder for images and mount points; its mounts are its own. */
export class Mounts {
  readonly folder = mkdtempSync(join(tmpdir(), 'gridcast-mount-'));
  private readonly mounted: string[] = [];

  /** Returns the mount point. */
  mount(name: string, ...words: readonly string[]): string {
    const point = join(this.folder, name);
    mkdirSync(point, { recursive: true });
    run('mount', ...words, point);
    this.mounted.push(point);
    return point;
  }

  /** An ext4 in a sparse file, mounted over loop: the file and the mount point. */
  ext4(name: string, size: string): { readonly image: string; readonly point: string } {
    const image = join(this.folder, `${name}.img`);
    run('truncate', '-s', size, image);
    run('mkfs.ext4', '-q', '-F', image);
    return { image, point: this.mount(name, '-o', 'loop', image) };
  }

  unmount(point: string): void {
    run('umount', point);
    this.mounted.splice(this.mounted.indexOf(point), 1);
  }

  /** Nobody may be using them any more; one who is gets what is left when he goes. */
  close(): void {
    for (const point of this.mounted.splice(0).reverse()) run('umount', '-l', point);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
