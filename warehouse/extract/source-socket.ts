import { Socket } from 'node:net';

/**
 * Emitted with bytes that lie in the socket's own buffer: whoever listens has to copy what it keeps before it returns. A connection in TLS, whose
 * bytes come out of another stream, never emits it.
 */
export const BORROWED = 'borrowed';

const READ_BYTES = 256 << 10;

/**
 * A socket that reads into one buffer for good. A new one per 64 KB, as sockets do otherwise, costs little to make, but V8 collects all its
 * garbage whenever some tens of megabytes of such memory have come together: a tenth of the CPU of a large COPY. Bytes come as events only:
 * there is nothing to read() or to pipe.
 */
export function createSourceSocket(): Socket {
  const socket: Socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (size: number, buffer: Uint8Array): boolean => {
        const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, size);
        if (!socket.emit(BORROWED, bytes)) socket.emit('data', Buffer.from(bytes));
        return true;
      },
    },
  });
  return socket;
}
