/**
 * Bytes and packets of one message on an Ethernet wire: WebSocket, TLS, TCP/IP and Ethernet, each by its specification.
 * Pure; runs in the command line. Sources: RFC 6455 §5.2, RFC 8446 §5.2, RFC 9293 with timestamps (RFC 7323), IEEE 802.3.
 */

/** IPv4 20, TCP 20, timestamps 12. */
const TCP_IP_BYTES = 52;
/** Header 14, check sequence 4, preamble 8, gap 12. */
const ETHERNET_BYTES = 38;
/** Of an Ethernet frame of 1,500 bytes with TCP_IP_BYTES. */
const SEGMENT_BYTES = 1448;
/** Header 5, content type 1, tag 16. */
const TLS_RECORD_BYTES = 22;
/** A lone acknowledgement. */
export const ACK_WIRE_BYTES = TCP_IP_BYTES + ETHERNET_BYTES;

/** `{"topic":"…","offset":…,"data":…}` with a topic of 16 characters and an offset of 8 digits. */
export const ENVELOPE_BYTES = 54;

export interface OnWire {
  readonly bytes: number;
  readonly packets: number;
}

/** One WebSocket message with this payload, from the gateway (unmasked) or from a client (masked: 4 bytes more). */
export function onWire(payloadBytes: number, tls: boolean, masked = false): OnWire {
  const header = 2 + (payloadBytes < 126 ? 0 : payloadBytes < 65_536 ? 2 : 8) + (masked ? 4 : 0);
  const stream = payloadBytes + header + (tls ? TLS_RECORD_BYTES : 0);
  const packets = Math.ceil(stream / SEGMENT_BYTES);
  return { bytes: stream + packets * (TCP_IP_BYTES + ETHERNET_BYTES), packets };
}
