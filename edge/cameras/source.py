"""Reads a camera, and has its frames judged where they are not for triggers alone.

Three threads beside the connection's own: one reads, so that no frame grows old in a buffer of the driver; one writes
the live view; one has frames judged, which may take longer than a thread may be silent.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection as database

from common.web.outgoing import NotReached, checked_address
from edge.cameras.choices import EVERY, FOLDER, INTERVAL, RTSP, TRIGGERED, USB
from edge.cameras.images.folder import FolderImages
from edge.cameras.images.frames import CameraLost, Frame, ImageSource
from edge.cameras.images.genicam import CameraSettings, GenICamImages
from edge.cameras.images.video import VideoImages, stream_capture, stream_url, usb_capture
from edge.cameras.live import write_live
from edge.cameras.running import RunningCamera, register, unregister
from edge.cameras.selectors import last_frame_at
from edge.connections.kinds import Figures, Source, Target
from edge.triggers.services import Trigger, submit_trigger
from inspection.judging.services import PartContext
from jobs.outbox import NotSent

log = logging.getLogger(__name__)
_READ_SECONDS, _LOOK_SECONDS, _LIVE_SECONDS, _FIGURES_SECONDS = 0.5, 0.1, 0.5, 1.0
_REFUSED_PAUSE = 1.0  # after a frame that was refused, the next ones most likely are, too
_SILENT_SECONDS = 30.0  # a driver that does not come back for so long hangs
_END_SECONDS = 8.0  # longer than a stream waits for a frame
# Answers after which the same frame is tried again: nothing came of it, or nobody knows.
_AGAIN = ("database_unavailable", "outcome_unknown")


def make_images(target: Target) -> ImageSource:
    """By the settings of a connection. Raises `CameraLost` where the address is not one to go to."""
    values, latency = target.settings, target.settings["latency_ms"] / 1000
    source = values["source"]
    if source == FOLDER:
        # Where every frame is judged, one that came while nobody looked is judged, too.
        since = last_frame_at(target.connection_id) if values["mode"] == EVERY else None
        return FolderImages(Path(values["folder"]), settle=values["settle_ms"] / 1000, since=since)
    if source == RTSP:
        capture = stream_capture(_checked_url(target))
        return VideoImages(_without_query(values["address"]), capture, latency=latency, is_stream=True)
    if source == USB:
        capture = usb_capture(values["device"], exposure_us=values["exposure_us"], gain=values["gain"])
        return VideoImages(f"/dev/video{values['device']}", capture, latency=latency)
    wanted = CameraSettings(
        producer=values["producer"],
        camera=values["camera"],
        pixel_format=values["pixel_format"],
        exposure_us=values["exposure_us"],
        gain_db=values["gain"],
    )
    return GenICamImages(wanted, latency=latency)


def _without_query(address: str) -> str:
    """What a stream is called: some cameras want their password in the query."""
    return address.partition("?")[0]


def _checked_url(target: Target) -> str:
    address = target.settings["address"]
    parts = urlsplit(address)
    try:
        host = checked_address(
            parts.hostname or "",
            parts.port or 554,
            private_hosts=settings.EDGE_PRIVATE_HOSTS,
            setting="EDGE_PRIVATE_HOSTS",
        )
    except NotReached as error:
        raise CameraLost(str(error)) from error
    return stream_url(address, host=host, username=target.settings["username"], password=target.secret("password"))


class CameraSource(Source):
    def __init__(self, target: Target, figures: Figures, make: Callable[[Target], ImageSource] = make_images) -> None:
        self._target, self._figures, self._make = target, figures, make
        self._mode = target.settings["mode"]
        self._camera = RunningCamera(target)
        self._queue: queue.Queue[Frame] = queue.Queue(target.settings["queue_length"])
        self._end = threading.Event()
        self._failure: BaseException | None = None
        self._read_at = time.monotonic()
        self._threads = [
            threading.Thread(target=work, name=f"camera-{name}-{target.connection_id}", daemon=True)
            for name, work in (("read", self._read), ("live", self._write_live))
        ]
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="camera-judge")
        self._used, self._due = "", time.monotonic()
        for name in ("frames_seen", "frames_lost"):  # none is a figure, too
            figures.add(name, 0)

    # ------------------------------------------------------------ the connection's own thread
    def run(self, stop: threading.Event) -> None:
        register(self._camera)
        for thread in self._threads:
            thread.start()
        pending: Future[bool] | None = None
        frame: Frame | None = None
        figures_at = 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now - self._read_at < _SILENT_SECONDS:
                self.note_sign()
            if now >= figures_at:
                self._put_figures()
                figures_at = now + _FIGURES_SECONDS
            if pending is not None:
                pending = self._settled(pending, frame)
                continue
            if self._failure is not None and self._queue.empty():  # what came before the loss is judged before
                self._figures.add("camera_losses")
                raise self._failure
            frame = self._next()
            if frame is not None:
                pending = self._worker.submit(self._judge, frame)

    def close(self) -> None:
        self._end.set()
        unregister(self._camera)
        self._worker.submit(database.close)
        self._worker.shutdown()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_END_SECONDS)
        self._figures.put("frames_per_second", 0.0)

    def _settled(self, pending: Future[bool], frame: Frame | None) -> Future[bool] | None:
        """What still goes on of a judgement: nothing, itself, or the same frame once more."""
        wait([pending], timeout=_LOOK_SECONDS)
        if not pending.done():
            return pending
        if pending.result() or frame is None or self._mode != EVERY:
            return None
        return self._worker.submit(self._judge, frame)

    def _next(self) -> Frame | None:
        """The frame to be judged now, waited for a little; None where there is none."""
        if self._mode == EVERY:
            try:
                return self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                return None
        if self._mode == TRIGGERED:
            time.sleep(_LOOK_SECONDS)
            return None
        pause = self._due - time.monotonic()
        if pause > 0:
            time.sleep(min(pause, _LOOK_SECONDS))
            return None
        frame = self._camera.wait_for(oldest=0.0, but=self._used, wait=_LOOK_SECONDS)
        if frame is not None:
            self._used = frame.key
            if self._mode == INTERVAL:
                self._due = max(self._due + self._target.settings["interval_ms"] / 1000, time.monotonic())
        return frame

    # ------------------------------------------------------------ reading
    def _read(self) -> None:
        images: ImageSource | None = None
        try:
            images = self._make(self._target)
            images.open()
            self._camera.camera = images.camera[:200] or self._target.name
            while not self._end.is_set():
                self._read_at = time.monotonic()
                frame = images.read(_READ_SECONDS)
                if frame is not None:
                    self._take(frame)
        except (NotSent, OSError) as error:  # told to the thread of the connection, which opens it again
            self._failure = error
        except Exception as error:
            log.exception("The camera of %s failed.", self._target.name)
            self._failure = error
        finally:
            if images is not None:
                images.close()
            database.close()

    def _take(self, frame: Frame) -> None:
        self._figures.add("frames_seen")
        if frame.lost:
            self._figures.add("frames_lost", frame.lost)
        if frame.exposure_us is not None:
            self._figures.put("exposure_us", round(frame.exposure_us, 1))
        if frame.gain_db is not None:
            self._figures.put("gain_db", round(frame.gain_db, 2))
        self._camera.show(frame)
        if self._mode == EVERY:
            try:
                self._queue.put_nowait(frame)
            except queue.Full:
                self._figures.add("frames_lost")

    def _put_figures(self) -> None:
        self._figures.put("frames_per_second", round(self._camera.rate(), 1))

    # ------------------------------------------------------------ judging
    def _judge(self, frame: Frame) -> bool:
        """Whether the frame is done with, be it judged or refused."""
        counted = Figures()
        reply = submit_trigger(
            Trigger(
                trigger_id=frame.key,
                part=PartContext(station=self._target.station),
                received=frame.at,
                filename=frame.name,
                data=frame.data(),
                frame=self._camera.facts_of(frame),
            ),
            target=self._target,
            figures=counted,
        )
        if reply["accepted"]:
            if not reply["repeated"]:
                self._figures.add("frames_judged")
            return True
        self._figures.put("frame_refusal", str(reply["detail"])[:300])
        is_done = reply["code"] not in _AGAIN
        if is_done:
            self._figures.add("frames_refused")
        self._end.wait(_REFUSED_PAUSE)
        return is_done

    # ------------------------------------------------------------ the live view
    def _write_live(self) -> None:
        shown = ""
        while not self._end.wait(_LIVE_SECONDS):
            frame = self._camera.newest
            if frame is None or frame.key == shown:
                continue
            shown = frame.key
            try:
                if jpeg := frame.preview():
                    write_live(self._target.connection_id, jpeg)
            except OSError as error:
                log.warning("The live view of %s cannot be written: %s", self._target.name, error)
