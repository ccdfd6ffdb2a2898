"""The sentences of mails, in the languages of the page."""

from __future__ import annotations

from dataclasses import dataclass

from cleanplate.base.mail import Language


@dataclass(frozen=True, kw_only=True)
class Words:
    """The sentences of one language; ``{name}`` is the job's name, ``{count}`` a number of pictures."""

    #: Of a job without a name.
    job: str
    #: Subjects.
    done: str
    review: str
    #: Lines.
    clean: str
    left: str
    failed: str
    canceled: str
    found: str
    not_found: str
    #: Why the reader gets the mail.
    reason: str


WORDS: dict[Language, Words] = {
    "en": Words(
        job="Job {id}",
        done="Done: {name}",
        review="Please look: {name}",
        clean="Clean: {count}",
        left="Left as they are: {count}",
        failed="Failed: {count}",
        canceled="Canceled: {count}",
        found="A mark was found in the pictures. The job begins once you have looked at it and approved it.",
        not_found="No mark was found in the pictures. The page says why, and what you can do.",
        reason="You get this mail because the job names your address.",
    ),
    "zh-CN": Words(
        job="任务 {id}",
        done="已完成：{name}",
        review="请查看：{name}",
        clean="已清除：{count}",
        left="保持原样：{count}",
        failed="失败：{count}",
        canceled="已取消：{count}",
        found="在图片中找到了水印。请查看并确认，任务随后开始。",
        not_found="没有在图片中找到水印。页面上说明了原因和可以做什么。",
        reason="任务填写了您的邮箱，所以您收到这封邮件。",
    ),
}
