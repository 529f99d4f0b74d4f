"""The scripted busy hour of Lumo, a maker of chargers and headphones: what customers write, what we answer."""

from __future__ import annotations

from aggregator.sandbox.base import Line, Person

MINUTES = 60.0


def busy_hour() -> tuple[Line, ...]:
    """The hour, in order of time. Labels are `platform-number`; a person writes on one platform only."""
    hour = _Hour()
    _own_posts(hour)
    _weibo(hour)
    _x(hour)
    _facebook(hour)
    _wechat(hour)
    _wecom(hour)
    return tuple(sorted(hour.lines, key=lambda line: (line.at, line.label)))


class _Hour:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.people = 0

    def person(self, name: str, handle: str, followers: int = 90, verified: bool = False) -> Person:
        self.people += 1
        return Person(self.people, name, handle, followers, verified)

    def says(
        self,
        at: float,
        platform: str,
        kind: str,
        who: Person | None,
        text: str | None,
        *,
        to: str | None = None,
        under: str | None = None,
        attachment: str | None = None,
        action: str = "say",
    ) -> str:
        label = f"{platform}-{len(self.lines) + 1}"
        line = Line(at, platform, kind, label, who, text, to, under, attachment, action)
        self.lines.append(line)
        return label

    def answers(self, at: float, to: str, text: str) -> str:
        """Our team answers `to`, in the platform's own app."""
        asked = next(line for line in self.lines if line.label == to)
        kind = "comment" if asked.platform in ("weibo", "facebook") else asked.kind
        if asked.kind == "direct_message":
            kind = "direct_message"
        return self.says(at, asked.platform, kind, None, text, to=to, under=asked.under)


# fmt: off
# One thing that happens a line; a formatter would make four of each.

def _own_posts(hour: _Hour) -> None:
    hour.says(0.0, "weibo", "own_post", None, "新品 Lumo Air 充电宝今天开售，转发抽三位送一台。")
    hour.says(0.0, "facebook", "own_post", None, "Lumo Air is here: 10,000 mAh, lighter than your phone.")
    hour.says(0.0, "x", "own_post", None, "Lumo Air ships today. Thank you for waiting with us.")


WEIBO_POST, FACEBOOK_POST = "weibo-1", "facebook-2"


def _weibo(hour: _Hour) -> None:
    say, person = hour.says, hour.person
    fire = person("苏州的阿远", "ayuan_sz", 2300)
    a = say(1.0, "weibo", "mention", fire, "@Lumo官方 你们的充电宝半夜冒烟，差点起火！！孩子就睡在旁边[怒][怒]")
    hour.answers(6.5, a, "非常抱歉让您受惊了！请先停止使用并远离充电宝，我们的安全专员马上私信您。")
    say(9.0, "weibo", "mention", fire, "专员联系我了，先把东西寄回去检测。@Lumo官方 希望给个说法")
    say(2.2, "weibo", "mention", person("数码老顽童", "digital_wt", 86000, True), "@Lumo官方 Air 手感真不错，颜值爆炸，爱了[笑cry]")
    wait = person("等等党小文", "wenwen_w")
    b = say(3.4, "weibo", "comment", wait, "买了五天了还没发货，客服也不回，到底什么时候发？", under=WEIBO_POST)
    hour.answers(17.0, b, "抱歉久等了，您的订单今天下午出库，单号稍后短信发您。")
    say(19.0, "weibo", "comment", wait, "好的，收到短信了，谢谢[爱你]", under=WEIBO_POST)
    refund = person("不想再等了", "tired_of_it")
    d = say(5.1, "weibo", "comment", refund, "申請退款七天了，錢還沒到，再不退我就打12315投訴！", under=WEIBO_POST)
    hour.answers(12.0, d, "您好，退款已加急，财务今天18点前原路退回，请留意短信。")
    say(13.5, "weibo", "comment", person("抽奖小能手", "lucky_77"), "转发了！中奖选我[doge]", under=WEIBO_POST)
    say(14.2, "weibo", "comment", person("副业加我薇", "vx_jiawo"), "日结兼职，加V信 xx8866，轻松月入过万", under=WEIBO_POST)
    ask = person("小满爱提问", "xiaoman_q")
    e = say(16.0, "weibo", "mention", ask, "@Lumo官方 请问 Air 能带上飞机吗？额定能量多少 Wh？")
    hour.answers(24.0, e, "可以的，Air 为 37Wh，符合民航随身携带规定。")
    say(25.5, "weibo", "mention", ask, "太好了，谢谢解答！@Lumo官方")
    media = person("江南晨报热线", "jn_morning", 1250000, True)
    f = say(21.0, "weibo", "mention", media, "@Lumo官方 我报接到多位市民反映充电宝发热鼓包，想就此采访贵司，请尽快联系我们记者。")
    hour.answers(29.0, f, "您好，已私信您我司公关负责人的联系方式，非常重视此事。")
    say(23.0, "weibo", "mention", person("路过的风", "passing_wind"), "气死我了，[怒]耳机左边又没声了 //@数码控阿杰: 同款，我的也坏了 //@Lumo官方: 新品上市")
    say(27.0, "weibo", "direct_message", person("夜猫子Kiki", "kiki_night"), "我的账号被盗了，有人用我的积分下单，快帮我冻结！")
    say(31.0, "weibo", "direct_message", person("一颗小土豆", "tudou_1"), "请问门店周末几点开门？")
    say(34.0, "weibo", "comment", person("理性消费者", "rational_c"), "客服态度太差了，直接挂我电话，再也不买了", under=WEIBO_POST)
    h = say(38.0, "weibo", "mention", person("晓晓要早睡", "xiaoxiao_zz"), "@Lumo官方 APP 登录不了，一直转圈，是不是崩了？")
    hour.answers(45.0, h, "我们正在排查，预计半小时内恢复，给您添麻烦了。")
    say(40.5, "weibo", "mention", person("西湖边的猫", "westlake_cat"), "@Lumo官方 APP打不开+1，付款付了两次！")
    say(47.0, "weibo", "comment", person("豆瓣酱", "doubanjiang"), "质量不错，用了两年还没问题，推荐", under=WEIBO_POST)
    say(52.0, "weibo", "mention", person("快乐小陈", "happychen"), "@Lumo官方 图片里这个颜色还有货吗？", attachment="image")
    say(55.0, "weibo", "mention", person("阿泽的日常", "aze_daily"), "@Lumo官方 充电宝鼓包了，请问怎么处理？在线等，挺急的")


def _x(hour: _Hour) -> None:
    say, person = hour.says, hour.person
    burn = person("Marta Okafor", "martaokafor", 5400)
    a = say(1.8, "x", "mention", burn, "@lumo my charger exploded while charging & burned my desk 😡 this is dangerous!!")
    hour.answers(8.0, a, "@martaokafor We are so sorry. Please unplug it and DM us your address: our safety team will call you today.")
    say(10.5, "x", "mention", burn, "@lumo DM sent. I have a baby at home, this could have ended badly.", to=a)
    wait = person("Jonas Lindqvist", "jlindqvist")
    b = say(4.0, "x", "mention", wait, "@lumo still waiting for my refund, order 10442. Two weeks now. Not received a single reply.")
    hour.answers(15.0, b, "@jlindqvist Sorry for the wait: the refund for 10442 went out today, allow 2 days for your bank.")
    say(16.5, "x", "mention", wait, "@lumo thanks for the quick fix, appreciate it", to=b)
    say(6.5, "x", "mention", person("Tech Weekly", "techweekly", 410000, True), "The new @lumo Air is impressively light. Full review on Friday.")
    say(8.8, "x", "mention", person("Priya N", "priyabuilds"), "@lumo is your app down? Can't log in since this morning 😩")
    c = say(11.0, "x", "direct_message", person("Sam Whitfield", "samwhit"), "Hi, someone changed the email on my account and I can't get in. Please help, I think I was hacked.")
    hour.answers(18.0, c, "We have locked the account, Sam. Please check your old inbox for a reset link.")
    say(20.0, "x", "direct_message", person("Elif Kaya", "elifkaya"), "Do you ship to Turkey?")
    say(22.5, "x", "mention", person("Ben Carter", "bcarter88"), "@lumo great, another delayed parcel. Thanks for nothing. Switching to another brand.")
    d = say(26.0, "x", "mention", person("Lena Fischer", "lenaf"), "@lumo how many Wh does the Air have? Flying tomorrow ✈️")
    hour.answers(30.0, d, "@lenaf It is 37 Wh, fine for cabin bags on every airline we know.")
    say(32.0, "x", "mention", person("Rui 瑞", "rui_codes"), "@lumo 中文客服在哪里？English support was super helpful though 👍")
    e = say(36.0, "x", "mention", person("Dana Cole", "danacole_law", 18000), "@lumo no answer to my three emails. Next letter comes from my lawyer.")
    hour.answers(44.0, e, "@danacole_law We have your case on the desk of our legal team lead, a reply is in your inbox.")
    say(41.0, "x", "mention", person("Free Followers", "boost_now_77"), "@lumo Earn $500 a day from home!!! Click the link in my bio, free crypto giveaway")
    say(48.0, "x", "mention", person("Omar Haddad", "omarh"), "@lumo left earbud stopped working after a week. How do I claim warranty?")
    say(53.0, "x", "direct_message", person("Grace Liu", "graceliu_"), "你好，我的耳机充不进电，保修期内可以换新吗？", attachment="image")
    say(57.0, "x", "mention", person("Tom Becker", "tombecker"), "@lumo charged twice for order 20817, please fix this asap")


def _facebook(hour: _Hour) -> None:
    say, person = hour.says, hour.person
    a = say(2.5, "facebook", "comment", person("Hannah Reyes", "hannah.reyes"), "Mine gets very hot and smells of burning plastic. Is there a recall?", under=FACEBOOK_POST)
    hour.answers(9.5, a, "Please stop using it, Hannah. We have sent you a message to arrange a free exchange.")
    say(12.5, "facebook", "comment", person("Miguel Santos", "miguel.s"), "Same here, got hot twice this week.", to=a, under=FACEBOOK_POST)
    say(7.0, "facebook", "comment", person("Aunt Bee", "aunt.bee"), "Love the new colour! 😍", under=FACEBOOK_POST)
    b = say(10.0, "facebook", "mention", person("Peter Novak", "pnovak"), "Ordered ten days ago, tracking has not moved. Where is my parcel?")
    hour.answers(21.5, b, "Hi Peter, it is stuck at the depot; a replacement leaves today by courier.")
    c = say(14.0, "facebook", "direct_message", person("Yuki Tan", "yuki.tan"), "Hello, I was charged twice for one order. Can you refund the second payment?")
    hour.answers(22.0, c, "Yes, the second charge is being returned now. Sorry about that, Yuki!")
    say(24.0, "facebook", "direct_message", person("陈美玲", "meiling.chen"), "你好，請問香港門市有現貨嗎？")
    say(18.0, "facebook", "review", person("Carla Bianchi", "carla.b"), "Great headphones, arrived in two days. Would buy again.")
    say(29.5, "facebook", "review", person("Hugo Lambert", "hugo.l"), "Terrible service. Waited three weeks and nobody answers.")
    say(35.0, "facebook", "mention", person("Nora Field", "nora.field"), None, attachment="image")
    d = say(39.0, "facebook", "direct_message", person("Ivan Petrov", "ivan.petrov"), "The app shows somebody else's address and phone number in my account!")
    hour.answers(46.0, d, "Thank you for telling us at once. Our privacy team is on it and will write within the hour.")
    say(43.0, "facebook", "comment", person("Olu Adeyemi", "olu.a"), "How long does a full charge take?", under=FACEBOOK_POST)
    say(50.0, "facebook", "direct_message", person("Sofia Marino", "sofia.m"), "Still no refund, I will report you to consumer protection.")


def _wechat(hour: _Hour) -> None:
    say, person = hour.says, hour.person
    a = say(3.0, "wechat", "direct_message", person("微信用户一", "wx1"), "订单一直没发货，都一个星期了，能不能帮我催一下？")
    hour.answers(11.5, a, "您好，已帮您加急，今天一定发出。")
    say(13.0, "wechat", "direct_message", person("微信用户二", "wx2"), "充电宝充电的时候触电了，手都麻了，太吓人了")
    b = say(15.5, "wechat", "direct_message", person("微信用户三", "wx3"), "发票怎么开？")
    hour.answers(19.5, b, "在“我的订单-申请开票”里可以直接开具电子发票。")
    say(28.0, "wechat", "direct_message", person("微信用户四", "wx4"), None, attachment="image")
    say(30.5, "wechat", "direct_message", person("微信用户五", "wx5"), "你们客服电话一直打不通，我要投诉！")
    say(42.0, "wechat", "direct_message", person("微信用户六", "wx6"), "谢谢，问题解决了，服务很好/:strong")
    c = say(49.0, "wechat", "direct_message", person("微信用户七", "wx7"), "多扣了我一笔钱，什么时候能退？")
    hour.answers(56.0, c, "已核实，多扣款项会在1-3个工作日内退回。")


def _wecom(hour: _Hour) -> None:
    say, person = hour.says, hour.person
    a = say(4.6, "wecom", "direct_message", person("杭州李女士", "li"), "你好，我在小区门口快递柜没找到我的耳机，物流显示已签收")
    hour.answers(8.4, a, "李女士您好，我联系快递核实一下，10分钟内回复您。")
    hour.answers(18.5, a, "快递员放在物业前台了，您方便时去取一下，抱歉给您添麻烦。")
    say(20.5, "wecom", "direct_message", person("成都王先生", "wang"), "退款申请被拒了是什么意思？明明还在七天内")
    b = say(26.5, "wecom", "direct_message", person("沈阳赵姐", "zhao"), "这个耳机怎么连接电视？")
    hour.answers(32.5, b, "赵姐您好，长按电源键五秒进入配对，再在电视蓝牙里选择 Lumo 即可。")
    say(34.5, "wecom", "direct_message", person("深圳周工", "zhou"), "批量采购200台，能给个报价吗？")
    say(37.0, "wecom", "direct_message", person("厦门林同学", "lin"), "我要退货，耳机音质太差了，跟宣传完全不符")
    say(46.5, "wecom", "direct_message", person("青岛孙阿姨", "sun"), "充电宝烫得拿不住，会不会爆炸啊？", attachment=None)
    say(51.0, "wecom", "direct_message", person("长沙小何", "he"), None, attachment="location")
