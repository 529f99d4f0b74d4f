"""The words that users see, in Chinese and English; every word stands in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    zh: str
    en: str


WORDS: Final[dict[str, Words]] = {
    # where
    "platform.x": Words("X", "X"),
    "platform.facebook": Words("Facebook", "Facebook"),
    "platform.instagram": Words("Instagram", "Instagram"),
    "platform.weibo": Words("微博", "Weibo"),
    "platform.wechat": Words("微信公众号", "WeChat"),
    "platform.wecom": Words("微信客服", "WeCom"),
    "kind.mention": Words("提及", "mention"),
    "kind.comment": Words("评论", "comment"),
    "kind.direct_message": Words("私信", "direct message"),
    "kind.review": Words("评价", "review"),
    # who
    "somebody": Words("未知用户", "Somebody"),
    "customer": Words("客户 …{end}", "Customer …{end}"),
    "us": Words("我方", "our team"),
    "verified": Words("已认证", "verified"),
    "followers": Words("{count}粉丝", "{count} followers"),
    # how urgent
    "priority.P1": Words("紧急", "urgent"),
    "priority.P2": Words("优先", "high"),
    "priority.P3": Words("普通", "normal"),
    "priority.P4": Words("低", "low"),
    # what they said
    "latest": Words("最新（{time}）", "Latest ({time})"),
    "first": Words("最初（{time}）", "First ({time})"),
    "no_text": Words("（没有文字）", "(no words)"),
    "deleted": Words("（作者已撤回）", "(withdrawn by its author)"),
    "attachment.image": Words("图片", "image"),
    "attachment.video": Words("视频", "video"),
    "attachment.voice": Words("语音", "voice message"),
    "attachment.file": Words("文件", "file"),
    "attachment.location": Words("位置", "location"),
    "attachment.link": Words("链接", "link"),
    "attachment.sticker": Words("表情", "sticker"),
    "attachment.card": Words("卡片", "card"),
    "attachment.rating": Words("评分", "rating"),
    "attachment.unknown": Words("附件", "attachment"),
    "more": Words("另有 {count} 项", "{count} more"),
    # how long is left; `time` and `now` are times of day
    "reply.first_response": Words("首次回复", "first reply"),
    "reply.next_response": Words("回复", "reply"),
    "reply.resolution": Words("解决", "resolution"),
    "waiting": Words("{time} 前{reply}", "{reply} by {time}"),
    "waiting.left": Words("还剩 {left}", "{left} left"),
    "waiting.left_at": Words("{now} 时还剩 {left}", "{left} left at {now}"),
    "overdue": Words("已超时", "overdue"),
    "overdue.since": Words("应在 {time} 前{reply}", "{reply} was due by {time}"),
    "overdue.by": Words("已超 {over}", "{over} over"),
    "overdue.by_at": Words("{now} 时已超 {over}", "{over} over at {now}"),
    "answered": Words("已回复", "answered"),
    "answered.by": Words("{who} {time}", "by {who} at {time}"),
    "answered.after": Words("用时 {wall}", "after {wall}"),
    "answered.business": Words(
        "用时 {wall}（工作时间 {business}）", "after {wall} ({business} in business hours)"
    ),
    "answered.met": Words("在目标内", "within target"),
    "answered.breached": Words("超出目标", "past the target"),
    "resolved": Words("已解决", "resolved"),
    "closed": Words("已关闭", "closed"),
    "unanswered_closed": Words("未回复即关闭", "closed without an answer"),
    "not_needed": Words("无需回复", "no answer needed"),
    "withdrawn": Words("客户已撤回", "withdrawn by the customer"),
    "no_target": Words("没有时限", "no response target"),
    # the platform's own deadline for an answer, and how many it takes
    "window": Words("平台回复窗口：{rest}", "reply window: {rest}"),
    "window.closes": Words(
        "{time} 关闭（{now} 时还剩 {left}）", "closes at {time} ({left} left at {now})"
    ),
    "window.closed": Words("已关闭", "closed"),
    "window.left": Words("可回复 {count} 条", "{count} left"),
    "window.none": Words("条数已用完", "none left"),
    # durations
    "moment": Words("不到 1 分钟", "under 1 min"),
    "minutes": Words("{count} 分钟", "{count} min"),
    "hours": Words("{count} 小时", "{count} h"),
    "days": Words("{count} 天", "{count} d"),
    # why, and the small print
    "why": Words("原因：{reasons}", "Why: {reasons}"),
    "and": Words("；", "; "),
    "list": Words("、", ", "),
    "no_rule": Words("没有规则命中", "no rule matched"),
    "sentiment.positive": Words("正面", "positive"),
    "sentiment.neutral": Words("中性", "neutral"),
    "sentiment.negative": Words("负面", "negative"),
    "count.one": Words("1 条消息", "1 message"),
    "count": Words("{count} 条消息", "{count} messages"),
    "original": Words("查看原文", "Open the original"),
    "labels": Words("标签：{labels}", "Labels: {labels}"),
    "account": Words("账号：{account}", "Account: {account}"),
    "address": Words("原文：{url}", "Original: {url}"),
    "quote": Words("{who}：{text}", "{who}: {text}"),
    "ops": Words("inboxd 运行通知", "inboxd speaking of itself"),
    "digest": Words("摘要", "Digest"),
    "conversations": Words("{count} 个会话", "{count} conversations"),
}


def say(language: str, key: str, **fields: object) -> str:
    """The word for `key`, fields filled in. `language` is `zh`; anything else reads English."""
    words = WORDS[key]
    return (words.zh if language == "zh" else words.en).format(**fields)


def name(language: str, group: str, value: str) -> str:
    """Our word for a platform, kind, sentiment or attachment; the value itself where we have none."""
    key = f"{group}.{value}"
    return say(language, key) if key in WORDS else value
