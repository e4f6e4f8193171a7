/** What is where in a data folder, and the file that says that it is one. */
import { codeOf, type Disk } from '../disk.js';
import { Damage } from './segment.js';

export const stateFolder = (data: string): string => `${data}/state`;
export const auditFolder = (data: string): string => `${data}/audit`;
export const historyFolder = (data: string): string => `${data}/history`;
/** The truth of the history; the index beside it is made from it. */
export const historyLogFolder = (data: string): string => `${historyFolder(data)}/log`;
export const historyIndexFolder = (data: string): string => `${historyFolder(data)}/index`;
export const lockFolderOf = (data: string): string => `${data}/lock`;

/** Of the folder as a whole; each segment has a version of its own besides. */
const LAYOUT = 1;
const textOf = (layout: number): string => `gridcast store, layout ${layout}\n`;

/** @throws Damage where the folder holds something else, or the layout of a newer program */
export async function checkLayout(disk: Disk, data: string): Promise<'ours' | 'empty'> {
  const path = `${data}/FORMAT`;
  try {
    const text = Buffer.from(await disk.read(path)).toString('utf8');
    if (text === textOf(LAYOUT)) return 'ours';
    const [, layout] = /^gridcast store, layout (\d+)\n$/.exec(text) ?? [];
    throw new Damage(
      path,
      0,
      layout === undefined
        ? `it should read "${textOf(LAYOUT).trim()}"`
        : `it names layout ${layout}, and this program knows ${LAYOUT}: use the program that wrote it, or a newer one`,
    );
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  // The file is the first thing written: whatever stands here without it is not a new store.
  const stray = [...(await disk.list(stateFolder(data))), ...(await disk.list(auditFolder(data)))];
  if (stray.length > 0) throw new Damage(path, 0, 'it is missing, though the folder holds a store');
  return 'empty';
}

export async function writeLayout(disk: Disk, data: string): Promise<void> {
  const path = `${data}/FORMAT`;
  await disk.remove(`${path}.part`);
  const file = await disk.open(`${path}.part`, 'create');
  await file.write(0, Buffer.from(textOf(LAYOUT)));
  await file.sync();
  await file.close();
  await disk.rename(`${path}.part`, path);
  await disk.syncFolder(data);
}
